//! The channel to an application that speaks gRPC: multiplexed connections, most often one, made when needed and again after a break.
//!
//! TLS (`grpcs`) is taken without looking at the certificate, as in Dapr. A call waits for a free place when the application's
//! concurrency is limited, and otherwise an hour at most; dropping it cancels it. Every call is counted in the
//! `grpc_io_client_*` series. An application that cannot be reached is a failure of the call, never of the channel.

pub(crate) mod answers;
mod bulk;
mod connection;
pub(crate) mod event;
mod invoke;

use crate::grpc::error::{name, printed};
use crate::grpc::trace::{self, Span};
use crate::pool::{Lease, Pool};
use answers::{forward, reply, subscription, verdict};
use connection::Dial;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use proa_core::app::{
    AppChannel, AppSubscription, BindingDelivery, BindingReply, BulkDelivery, BulkReply, ChannelError, DeliveryStatus, TopicDelivery,
};
use proa_core::invocation::{InvokeError, InvokeRequest, InvokeResponse};
use proa_core::{Metrics, Runtime, RuntimeOptions};
use proa_host::middleware::Body;
use proa_protocol::runtime::v1 as pb;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tonic::metadata::{AsciiMetadataValue, MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

const TOKEN: &str = "dapr-api-token";
/// How long a connection beyond the first may be idle.
const IDLE: Duration = Duration::from_secs(180);
const LOG: &str = "dapr.runtime.processor.pubsub.subscription.grpc";
const ON_TOPIC_EVENT: &str = "/dapr.proto.runtime.v1.AppCallback/OnTopicEvent";
const ON_BINDING_EVENT: &str = "/dapr.proto.runtime.v1.AppCallback/OnBindingEvent";
const LIST_TOPICS: &str = "/dapr.proto.runtime.v1.AppCallback/ListTopicSubscriptions";
const LIST_BINDINGS: &str = "/dapr.proto.runtime.v1.AppCallback/ListInputBindings";
const HEALTH_CHECK: &str = "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck";

/// See the module's text.
pub struct GrpcApp {
    dial: Dial,
    pool: Pool,
    metrics: Metrics,
    token: Option<AsciiMetadataValue>,
    permits: Option<Arc<Semaphore>>,
    max_message: usize,
    traces: bool,
    /// The bindings that the application takes; asked once.
    bindings: OnceCell<Vec<String>>,
}

/// The channel to the application of this sidecar. `permits` limits the deliveries at the same time and may be shared.
///
/// # Errors
/// The options name no port, or an address that is none. Must be called within a tokio runtime.
pub fn connect(runtime: &Runtime, permits: Option<Arc<Semaphore>>) -> Result<GrpcApp, ChannelError> {
    let traces = trace::enabled(&runtime.configuration().tracing.sampling_rate);
    GrpcApp::new(runtime.options(), runtime.metrics().clone(), traces, permits)
}

fn failure(message: String) -> ChannelError {
    ChannelError { status: None, message }
}

/// A failed call. Policies match on the code, so it goes along.
fn rejected(what: &str, status: &Status) -> ChannelError {
    ChannelError { status: u16::try_from(status.code() as i32).ok(), message: format!("{what}: {}", printed(status)) }
}

impl GrpcApp {
    fn new(options: &RuntimeOptions, metrics: Metrics, traces: bool, permits: Option<Arc<Semaphore>>) -> Result<Self, ChannelError> {
        let token = options.app_api_token.as_deref().filter(|token| !token.is_empty()).map(AsciiMetadataValue::try_from);
        Ok(Self {
            dial: Dial::new(options)?,
            pool: Pool::default(),
            metrics,
            token: token.transpose().map_err(|_| failure("the app API token has characters that gRPC metadata cannot carry".to_owned()))?,
            permits,
            max_message: options.max_body_size,
            traces,
            bindings: OnceCell::new(),
        })
    }

    /// A connection; those beyond the first end when they are idle.
    fn lease(&self) -> Lease {
        self.pool.purge(IDLE, 1);
        let Ok(lease) = self.pool.lease(|| Ok::<_, Infallible>(self.dial.channel()));
        lease
    }

    async fn pass_on(&self, mut request: http::Request<Body>) -> Result<http::Response<Body>, InvokeError> {
        if let Some(token) = self.token.as_ref().and_then(|token| http::HeaderValue::from_bytes(token.as_bytes()).ok()) {
            request.headers_mut().insert(TOKEN, token);
        }
        crate::raw::pass(self.lease(), request).await
    }

    /// A free place, where the application's concurrency is limited.
    async fn permit(&self) -> Result<Option<OwnedSemaphorePermit>, ChannelError> {
        let Some(permits) = &self.permits else { return Ok(None) };
        permits.clone().acquire_owned().await.map(Some).map_err(|_| failure("the app channel is closed".to_owned()))
    }

    async fn unary<Q, A>(&self, method: &'static str, mut request: Request<Q>) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        if let Some(token) = &self.token {
            request.metadata_mut().insert(TOKEN, token.clone());
        }
        let (sent, begun) = (request.get_ref().encoded_len() as u64, Instant::now());
        let sending = tokio::time::timeout(super::ANSWER, self.send(method, request)).await;
        let outcome = sending.unwrap_or_else(|_| Err(Status::deadline_exceeded("context deadline exceeded")));
        let received = outcome.as_ref().map_or(0, |answer: &A| answer.encoded_len() as u64);
        let status = name(outcome.as_ref().map_or_else(Status::code, |_| Code::Ok));
        if method == HEALTH_CHECK {
            self.metrics.grpc_probe(status, begun.elapsed());
        } else {
            self.metrics.grpc_client(method, status, begun.elapsed(), sent, received);
        }
        outcome
    }

    async fn send<Q, A>(&self, method: &'static str, request: Request<Q>) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let lease = self.lease();
        let mut client = tonic::client::Grpc::new(lease.channel()).max_decoding_message_size(self.max_message);
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        client.unary(request, PathAndQuery::from_static(method), codec).await.map(Response::into_inner)
    }

    /// The trace of a delivery in both forms.
    fn trace(&self, headers: &mut MetadataMap, traceparent: Option<&str>, tracestate: Option<&str>) {
        if !self.traces {
            return;
        }
        let span = Span::from_text_or_zero(traceparent);
        if let Ok(text) = span.text().parse() {
            headers.insert("traceparent", text);
        }
        headers.insert_bin(trace::BINARY, MetadataValue::from_bytes(&span.binary()));
        if let Some(state) = tracestate.and_then(|state| state.parse().ok()) {
            headers.insert("tracestate", state);
        }
    }

    async fn list_topics(&self) -> Result<Vec<AppSubscription>, ChannelError> {
        match self.unary::<(), pb::ListTopicSubscriptionsResponse>(LIST_TOPICS, Request::new(())).await {
            Ok(list) => Ok(list.subscriptions.into_iter().map(subscription).collect()),
            Err(status) if status.code() == Code::Unimplemented => {
                tracing::info!(target: "dapr.runtime.pubsub", "pubsub subscriptions: gRPC app does not implement ListTopicSubscriptions");
                Ok(Vec::new())
            }
            Err(status) => Err(rejected("error getting topic list from app", &status)),
        }
    }

    async fn deliver_event(&self, delivery: TopicDelivery) -> Result<DeliveryStatus, ChannelError> {
        let id = event::text(&delivery.cloud_event, "id").to_owned();
        let message = event::request(&delivery).map_err(|why| failure(format!("error returned from app while processing pub/sub event: {why}")))?;
        let mut request = Request::new(message);
        forward(request.metadata_mut(), &delivery.metadata);
        self.trace(request.metadata_mut(), delivery.traceparent.as_deref(), delivery.tracestate.as_deref());
        let _permit = self.permit().await?;
        match self.unary::<_, pb::TopicEventResponse>(ON_TOPIC_EVENT, request).await {
            Ok(answer) => verdict(&id, answer.status),
            Err(status) if status.code() == Code::Unimplemented => {
                tracing::warn!(target: LOG, "non-retriable error returned from app while processing pub/sub event {id}: {}", printed(&status));
                Ok(DeliveryStatus::Unwanted)
            }
            Err(status) => Err(rejected(&format!("error returned from app while processing pub/sub event {id}: retriable error occurred"), &status)),
        }
    }

    async fn takes_binding(&self, binding: &str, timeout: Duration) -> bool {
        let ask = async {
            let answer = self.unary::<(), pb::ListInputBindingsResponse>(LIST_BINDINGS, Request::new(()));
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(list)) => list.bindings,
                // An application that does not say takes none, and is not asked again.
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        };
        self.bindings.get_or_init(|| ask).await.iter().any(|name| name == binding)
    }

    async fn deliver_binding(&self, delivery: BindingDelivery) -> Result<BindingReply, ChannelError> {
        let mut request =
            Request::new(pb::BindingEventRequest { name: delivery.name, data: delivery.data, metadata: delivery.metadata.into_iter().collect() });
        self.trace(request.metadata_mut(), delivery.traceparent.as_deref(), delivery.tracestate.as_deref());
        let _permit = self.permit().await?;
        let (begun, sent) = (Instant::now(), request.get_ref().data.len() as u64);
        let answer = self.unary::<_, pb::BindingEventResponse>(ON_BINDING_EVENT, request).await;
        let received = answer.as_ref().map_or(0, |reply| reply.data.len() as u64);
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        // Dapr counts these among the served calls too.
        self.metrics.grpc_server(ON_BINDING_EVENT, name(code), begun.elapsed(), sent, received);
        answer.map(reply).map_err(|status| rejected("error invoking app", &status))
    }

    async fn probe(&self, timeout: Duration) -> bool {
        let answer = self.unary::<(), pb::HealthCheckResponse>(HEALTH_CHECK, Request::new(()));
        matches!(tokio::time::timeout(timeout, answer).await, Ok(Ok(_)))
    }
}

impl AppChannel for GrpcApp {
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<AppSubscription>, ChannelError>> {
        Box::pin(self.list_topics())
    }

    /// Applications register actors over a stream of their own, so there is nothing to ask for.
    fn app_config(&self) -> BoxFuture<'_, Result<serde_json::Value, ChannelError>> {
        Box::pin(async { Ok(serde_json::Value::Null) })
    }

    fn deliver(&self, delivery: TopicDelivery) -> BoxFuture<'_, Result<DeliveryStatus, ChannelError>> {
        Box::pin(self.deliver_event(delivery))
    }

    fn deliver_bulk(&self, delivery: BulkDelivery) -> BoxFuture<'_, Result<BulkReply, ChannelError>> {
        Box::pin(self.deliver_events(delivery))
    }

    fn binding_wanted<'a>(&'a self, name: &'a str, _route: &'a str, timeout: Duration) -> BoxFuture<'a, Result<bool, ChannelError>> {
        Box::pin(async move { Ok(self.takes_binding(name, timeout).await) })
    }

    fn binding_event(&self, event: BindingDelivery) -> BoxFuture<'_, Result<BindingReply, ChannelError>> {
        Box::pin(self.deliver_binding(event))
    }

    fn invoke(&self, request: InvokeRequest) -> BoxFuture<'_, Result<InvokeResponse, InvokeError>> {
        Box::pin(self.hand_over(request))
    }

    fn proxy(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, InvokeError>> {
        Box::pin(self.pass_on(request))
    }

    fn healthy(&self, timeout: Duration) -> BoxFuture<'_, bool> {
        Box::pin(self.probe(timeout))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
