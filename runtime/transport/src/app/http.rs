//! The channel to an application that speaks HTTP: pooled connections, the middleware of `appHttpPipeline` around each call.
//!
//! A call waits for a free place when the application's concurrency is limited; probes do not. TLS (`https`) is taken without looking at
//! the certificate, as in Dapr. Every call is counted in the `http_client_*` series.

mod answers;
mod bulk;
pub(crate) mod connect;
pub(crate) mod invoke;
mod target;

use crate::body::{self, Inbound, Payload};
use crate::grpc::trace::{self, Span};
use crate::invocation::is_own;
use bytes::Bytes;
use connect::Connect;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use invoke::Way;
use proa_core::Runtime;
use proa_core::app::{
    AppChannel, AppSubscription, BindingDelivery, BindingReply, BulkDelivery, BulkReply, ChannelError, DeliveryStatus, TopicDelivery,
};
use proa_core::invocation::{InvokeError, InvokeRequest, InvokeResponse};
use proa_core::trace::recording;
use proa_host::middleware::{Body, BoxError, Service};
use proa_model::Metadata;
use std::sync::Arc;
use std::time::{Duration, Instant};
use target::Target;
pub(crate) use target::escaped;
use tokio::sync::Semaphore;

const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");
const APP_ID: HeaderName = HeaderName::from_static("dapr-app-id");
const JSON: &str = "application/json";
/// The least that an answer may be long.
const ANSWER: usize = 4 << 20;
/// Headers that the request has its own of.
const OWN: [&str; 2] = ["content-type", "content-length"];

pub(crate) type HttpClient = Client<Connect, Payload>;

/// See the module's text.
pub struct HttpApp {
    way: Way,
    target: Target,
    token: Option<HeaderValue>,
    app_id: Option<HeaderValue>,
    health: String,
    limit: usize,
    traces: bool,
}

/// An answer of the application's, read to its end.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// The channel to the application of this sidecar. `permits` limits the calls at the same time.
///
/// # Errors
/// An address that is none, or a token that no header can carry.
pub fn connect(runtime: &Arc<Runtime>, port: u16, permits: Option<Arc<Semaphore>>) -> Result<HttpApp, ChannelError> {
    let options = runtime.options();
    let header = |text: &str| HeaderValue::from_str(text).map_err(|_| failure(format!("{text:?} cannot be sent as a header")));
    let client = connect::client(options.app_protocol).map_err(failure)?;
    Ok(HttpApp {
        way: way(runtime, client, permits),
        target: Target::new(options.app_protocol, &options.app_channel_address, port).map_err(failure)?,
        token: options.app_api_token.as_deref().filter(|t| !t.is_empty()).map(header).transpose()?,
        app_id: header(&options.app_id).ok(),
        health: options.app_health.as_ref().map_or_else(|| "/healthz".to_owned(), |h| h.path.clone()),
        limit: options.max_body_size.max(ANSWER),
        traces: trace::enabled(&runtime.configuration().tracing.sampling_rate),
    })
}

/// What goes around a client.
pub(crate) fn way(runtime: &Arc<Runtime>, client: HttpClient, permits: Option<Arc<Semaphore>>) -> Way {
    Way { runtime: Arc::downgrade(runtime), metrics: runtime.metrics().clone(), end: Arc::new(End(client.clone())), client, permits }
}

fn failure(message: String) -> ChannelError {
    ChannelError { status: None, message }
}

/// The client behind middleware.
struct End(HttpClient);

impl Service for End {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let sending = self.0.request(request.map(Payload::Stream));
        Box::pin(async move {
            let response = sending.await.map_err(|e| BoxError::from(connect::told(&e)))?;
            Ok(response.map(|body| Payload::boxed(Payload::from_wire(body))))
        })
    }
}

impl HttpApp {
    fn request(&self, method: Method, path: &str, content_type: &str, body: Bytes) -> Result<Request<Payload>, ChannelError> {
        let uri = self.target.uri(path).map_err(failure)?;
        let mut request = Request::new(if body.is_empty() { Payload::Empty } else { Payload::Full(body) });
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if let Ok(content_type) = HeaderValue::from_str(content_type) {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        Ok(request)
    }

    /// Sends a request through the pipeline and reads the answer.
    async fn call(&self, mut request: Request<Payload>) -> Result<Answer, ChannelError> {
        if let Some(token) = &self.token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        let _permit = match &self.way.permits {
            Some(permits) => Some(permits.acquire().await.map_err(|e| failure(e.to_string()))?),
            None => None,
        };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        self.way.metrics.http_client_started(method.as_str(), &path, request.body().length());
        let begun = Instant::now();
        let sending = tokio::time::timeout(super::ANSWER, self.send(request)).await;
        let answer = sending.unwrap_or_else(|_| Err(failure("context deadline exceeded".to_owned())));
        let (status, length) = answer.as_ref().map_or((500, 0), |a| (a.status.as_u16(), a.body.len() as u64));
        self.way.metrics.http_client_completed(method.as_str(), &path, status, begun.elapsed(), length);
        answer
    }

    /// Like [`HttpApp::call`]; the current span is told how it ended.
    async fn seen(&self, request: Request<Payload>) -> Result<Answer, ChannelError> {
        let answer = self.call(request).await?;
        if let Some(span) = recording() {
            span.http_status(answer.status);
        }
        Ok(answer)
    }

    async fn send(&self, request: Request<Payload>) -> Result<Answer, ChannelError> {
        let pipeline = self.way.runtime.upgrade().and_then(|runtime| runtime.app_pipeline(self.way.end.clone()));
        let (status, read) = match pipeline {
            Some(pipeline) => {
                let response = pipeline.call(request.map(Payload::boxed)).await.map_err(|e| failure(e.to_string()))?;
                (response.status(), body::read(Inbound::Host(response.into_body()), self.limit).await)
            }
            None => {
                let response = self.way.client.request(request).await.map_err(|e| failure(connect::told(&e)))?;
                (response.status(), body::read(Inbound::Wire(response.into_body()), self.limit).await)
            }
        };
        let body = read.map_err(|e| failure(format!("failed to read response body: {e}")))?;
        Ok(Answer { status, body })
    }

    fn trace(&self, headers: &mut HeaderMap, traceparent: Option<&str>, tracestate: Option<&str>) {
        let Some(parent) = traceparent.filter(|_| self.traces) else { return };
        let span = Span::from_text_or_zero(Some(parent));
        if let Ok(value) = HeaderValue::from_str(&span.text()) {
            headers.insert("traceparent", value);
        }
        if let Some(value) = tracestate.and_then(|s| HeaderValue::from_str(s).ok()) {
            headers.insert("tracestate", value);
        }
    }

    /// A GET that tells the application who asks.
    async fn ask(&self, path: &str) -> Result<Answer, ChannelError> {
        let mut request = self.request(Method::GET, path, JSON, Bytes::new())?;
        if let Some(app_id) = &self.app_id {
            request.headers_mut().insert(APP_ID, app_id.clone());
        }
        self.call(request).await
    }

    async fn deliver_event(&self, delivery: TopicDelivery) -> Result<DeliveryStatus, ChannelError> {
        let mut request = self.request(Method::POST, &delivery.path, &delivery.content_type, delivery.body)?;
        put_metadata(request.headers_mut(), &delivery.metadata);
        self.trace(request.headers_mut(), delivery.traceparent.as_deref(), delivery.tracestate.as_deref());
        let answer = self.seen(request).await.map_err(|e| ChannelError {
            status: e.status,
            message: format!("error returned from app channel while sending pub/sub event to app: {}", e.message),
        })?;
        answers::verdict(&delivery.cloud_event, answer.status, &answer.body)
    }

    async fn deliver_binding(&self, event: BindingDelivery) -> Result<BindingReply, ChannelError> {
        let content_type = event.content_type.as_deref().unwrap_or(JSON);
        let mut request = self.request(Method::POST, &event.route, content_type, event.data)?;
        put_metadata(request.headers_mut(), &event.metadata);
        self.trace(request.headers_mut(), event.traceparent.as_deref(), event.tracestate.as_deref());
        let answer =
            self.seen(request).await.map_err(|e| ChannelError { status: e.status, message: format!("error invoking app: {}", e.message) })?;
        answers::binding(answer.status, answer.body)
    }

    async fn probe(&self) -> Option<StatusCode> {
        let request = self.request(Method::GET, &self.health, JSON, Bytes::new()).ok()?;
        let response = self.way.client.request(request).await.ok()?;
        let status = response.status();
        // Read, so that the connection can be used again.
        body::read(Inbound::Wire(response.into_body()), self.limit).await.ok()?;
        Some(status)
    }
}

/// Metadata as headers; what no header can carry is left out.
fn put_metadata(headers: &mut HeaderMap, metadata: &Metadata) {
    for (name, value) in metadata {
        let lower = name.to_ascii_lowercase();
        if OWN.contains(&lower.as_str()) || is_own(&lower) || lower.ends_with("-bin") {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(lower.as_bytes()), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

impl AppChannel for HttpApp {
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<AppSubscription>, ChannelError>> {
        Box::pin(async move {
            let answer = self.ask("/dapr/subscribe").await?;
            answers::subscriptions(answer.status, &answer.body)
        })
    }

    fn app_config(&self) -> BoxFuture<'_, Result<serde_json::Value, ChannelError>> {
        Box::pin(async move {
            let answer = self.ask("/dapr/config").await?;
            if answer.status != StatusCode::OK || answer.body.is_empty() {
                return Ok(serde_json::Value::Null);
            }
            serde_json::from_slice(&answer.body).map_err(|e| failure(format!("error reading the app's configuration: {e}")))
        })
    }

    fn deliver(&self, delivery: TopicDelivery) -> BoxFuture<'_, Result<DeliveryStatus, ChannelError>> {
        Box::pin(self.deliver_event(delivery))
    }

    fn deliver_bulk(&self, delivery: BulkDelivery) -> BoxFuture<'_, Result<BulkReply, ChannelError>> {
        Box::pin(self.deliver_events(delivery))
    }

    fn binding_wanted<'a>(&'a self, _name: &'a str, route: &'a str, timeout: Duration) -> BoxFuture<'a, Result<bool, ChannelError>> {
        Box::pin(async move {
            let failed = |why: String| failure(format!("could not invoke OPTIONS method on input binding subscription endpoint {route:?}: {why}"));
            let request = self.request(Method::OPTIONS, route, JSON, Bytes::new())?;
            let answer = tokio::time::timeout(timeout, self.call(request)).await;
            let answer = answer.map_err(|_| failed("context deadline exceeded".into()))?.map_err(|e| failed(e.message))?;
            Ok(answer.status.is_success() || answer.status == StatusCode::METHOD_NOT_ALLOWED)
        })
    }

    fn binding_event(&self, event: BindingDelivery) -> BoxFuture<'_, Result<BindingReply, ChannelError>> {
        Box::pin(self.deliver_binding(event))
    }

    fn invoke(&self, request: InvokeRequest) -> BoxFuture<'_, Result<InvokeResponse, InvokeError>> {
        Box::pin(self.hand_over(request))
    }

    fn healthy(&self, timeout: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let begun = Instant::now();
            let status = tokio::time::timeout(timeout, self.probe()).await.ok().flatten();
            self.way.metrics.http_probe(status.map_or(500, |s| s.as_u16()), begun.elapsed());
            status.is_some_and(|s| s.is_success())
        })
    }
}
