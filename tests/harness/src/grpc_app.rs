//! An application over gRPC, inside the test process: the AppCallback service with recorded events.
//!
//! It also has a service of its own ([`Streams`]) that no sidecar knows. Subscriptions and bindings are listed as configured; events are answered by the handler of their path, or with success.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pb::app_callback_health_check_server::{AppCallbackHealthCheck, AppCallbackHealthCheckServer};
use pb::app_callback_server::{AppCallback, AppCallbackServer};
use pb::topic_event_response::TopicEventResponseStatus;
use proa_protocol::common::v1::{InvokeRequest, InvokeResponse};
use proa_protocol::runtime::v1 as pb;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::sidecar::AppEndpoint;
use crate::streams::Streams;
use crate::wait::until;

/// The app's opinion on an event.
#[derive(Clone, Debug)]
pub enum Verdict {
    Success,
    Retry,
    Drop,
    /// The call itself fails.
    Fail(tonic::Code),
}

type BulkHandler = Arc<dyn Fn(&pb::TopicEventBulkRequestEntry) -> Option<Verdict> + Send + Sync>;
type Handler = Arc<dyn Fn(&pb::TopicEventRequest) -> Verdict + Send + Sync>;

#[derive(Default)]
struct Inner {
    subscriptions: Mutex<Vec<pb::TopicSubscription>>,
    bindings: Mutex<Vec<String>>,
    handlers: Mutex<HashMap<String, Handler>>,
    events: Mutex<Vec<pb::TopicEventRequest>>,
    bulk_events: Mutex<Vec<pb::TopicEventBulkRequest>>,
    bulk_handler: Mutex<Option<BulkHandler>>,
    binding_events: Mutex<Vec<pb::BindingEventRequest>>,
    binding_answer: Mutex<pb::BindingEventResponse>,
    tokens: Mutex<Vec<Option<String>>>,
    invocations: Mutex<Vec<BTreeMap<String, String>>>,
    streams: Streams,
}

/// A running gRPC app.
pub struct GrpcApp {
    port: u16,
    inner: Arc<Inner>,
    server: AbortHandle,
}

impl GrpcApp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("app port");
        let port = listener.local_addr().expect("app address").port();
        let inner = Arc::new(Inner::default());
        let router = tonic::transport::Server::builder()
            .add_service(AppCallbackServer::new(Callbacks(inner.clone())))
            .add_service(inner.streams.clone())
            .add_service(AppCallbackHealthCheckServer::new(Callbacks(inner.clone())));
        let server = tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener))).abort_handle();
        Self { port, inner, server }
    }

    /// Lists a subscription with one path for everything.
    pub fn subscribe(&self, pubsub: &str, topic: &str, path: &str) {
        let routes = Some(pb::TopicRoutes { rules: Vec::new(), default: path.into() });
        self.subscribe_to(pb::TopicSubscription { pubsub_name: pubsub.into(), topic: topic.into(), routes, ..Default::default() });
    }

    pub fn subscribe_to(&self, subscription: pb::TopicSubscription) {
        self.inner.subscriptions.lock().expect("subscriptions").push(subscription);
    }

    /// Lists an input binding.
    pub fn bind(&self, name: &str) {
        self.inner.bindings.lock().expect("bindings").push(name.into());
    }

    /// Answers every binding event this way.
    pub fn answer_bindings(&self, answer: pb::BindingEventResponse) {
        *self.inner.binding_answer.lock().expect("binding answer") = answer;
    }

    /// Answers events on `path` by a function.
    pub fn on(&self, path: &str, handler: impl Fn(&pb::TopicEventRequest) -> Verdict + Send + Sync + 'static) {
        self.inner.handlers.lock().expect("handlers").insert(path.into(), Arc::new(handler));
    }

    /// Answers events on `path` with each verdict in turn, then with the last one for ever.
    pub fn verdicts(&self, path: &str, verdicts: Vec<Verdict>) {
        let turn = Mutex::new(0_usize);
        self.on(path, move |_| {
            let mut turn = turn.lock().expect("turn");
            let verdict = verdicts.get(*turn).or(verdicts.last()).cloned().unwrap_or(Verdict::Success);
            *turn += 1;
            verdict
        });
    }

    /// Events on `path` so far.
    pub fn events(&self, path: &str) -> Vec<pb::TopicEventRequest> {
        self.inner.events.lock().expect("events").iter().filter(|event| event.path == path).cloned().collect()
    }

    /// Answers each entry of a bulk delivery by a function; none: no answer for it.
    pub fn on_bulk(&self, handler: impl Fn(&pb::TopicEventBulkRequestEntry) -> Option<Verdict> + Send + Sync + 'static) {
        *self.inner.bulk_handler.lock().expect("bulk handler") = Some(Arc::new(handler));
    }

    pub fn bulk_events(&self) -> Vec<pb::TopicEventBulkRequest> {
        self.inner.bulk_events.lock().expect("bulk events").clone()
    }

    pub fn binding_events(&self) -> Vec<pb::BindingEventRequest> {
        self.inner.binding_events.lock().expect("binding events").clone()
    }

    /// The `dapr-api-token` of every delivery, in order.
    pub fn tokens(&self) -> Vec<Option<String>> {
        self.inner.tokens.lock().expect("tokens").clone()
    }

    /// The metadata of every call of another application, in order; binary values in base64.
    pub fn invocations(&self) -> Vec<BTreeMap<String, String>> {
        self.inner.invocations.lock().expect("invocations").clone()
    }

    /// The service of its own.
    pub fn streams(&self) -> &Streams {
        &self.inner.streams
    }

    /// Waits up to twenty seconds for `count` events on `path`.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<pb::TopicEventRequest> {
        until(&format!("{count} events on {path}"), Duration::from_secs(20), || async {
            let found = self.events(path);
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

impl AppEndpoint for GrpcApp {
    fn port(&self) -> u16 {
        self.port
    }

    fn protocol(&self) -> &'static str {
        "grpc"
    }
}

impl Drop for GrpcApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Callbacks(Arc<Inner>);

#[tonic::async_trait]
impl AppCallback for Callbacks {
    async fn on_invoke(&self, request: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        self.0.invocations.lock().expect("invocations").push(headers.collect());
        let request = request.into_inner();
        Ok(Response::new(InvokeResponse { data: request.data, content_type: request.content_type }))
    }

    async fn list_topic_subscriptions(&self, _: Request<()>) -> Result<Response<pb::ListTopicSubscriptionsResponse>, Status> {
        let subscriptions = self.0.subscriptions.lock().expect("subscriptions").clone();
        Ok(Response::new(pb::ListTopicSubscriptionsResponse { subscriptions }))
    }

    async fn on_topic_event(&self, request: Request<pb::TopicEventRequest>) -> Result<Response<pb::TopicEventResponse>, Status> {
        let token = request.metadata().get("dapr-api-token").and_then(|token| token.to_str().ok()).map(str::to_owned);
        self.0.tokens.lock().expect("tokens").push(token);
        let event = request.into_inner();
        let handler = self.0.handlers.lock().expect("handlers").get(&event.path).cloned();
        let verdict = handler.map_or(Verdict::Success, |handler| handler(&event));
        self.0.events.lock().expect("events").push(event);
        let status = match verdict {
            Verdict::Success => TopicEventResponseStatus::Success,
            Verdict::Retry => TopicEventResponseStatus::Retry,
            Verdict::Drop => TopicEventResponseStatus::Drop,
            Verdict::Fail(code) => return Err(Status::new(code, "the test app fails")),
        };
        Ok(Response::new(pb::TopicEventResponse { status: status.into() }))
    }

    async fn list_input_bindings(&self, _: Request<()>) -> Result<Response<pb::ListInputBindingsResponse>, Status> {
        let bindings = self.0.bindings.lock().expect("bindings").clone();
        Ok(Response::new(pb::ListInputBindingsResponse { bindings }))
    }

    async fn on_binding_event(&self, request: Request<pb::BindingEventRequest>) -> Result<Response<pb::BindingEventResponse>, Status> {
        self.0.binding_events.lock().expect("binding events").push(request.into_inner());
        Ok(Response::new(self.0.binding_answer.lock().expect("binding answer").clone()))
    }

    async fn on_bulk_topic_event(&self, request: Request<pb::TopicEventBulkRequest>) -> Result<Response<pb::TopicEventBulkResponse>, Status> {
        let bulk = request.into_inner();
        let handler = self.0.bulk_handler.lock().expect("bulk handler").clone();
        let status = |entry: &pb::TopicEventBulkRequestEntry| {
            let verdict = handler.as_ref().map_or(Some(Verdict::Success), |handler| handler(entry))?;
            let status = match verdict {
                Verdict::Success => TopicEventResponseStatus::Success,
                Verdict::Drop => TopicEventResponseStatus::Drop,
                Verdict::Retry | Verdict::Fail(_) => TopicEventResponseStatus::Retry,
            };
            Some(pb::TopicEventBulkResponseEntry { entry_id: entry.entry_id.clone(), status: status.into() })
        };
        let statuses = bulk.entries.iter().filter_map(status).collect();
        self.0.bulk_events.lock().expect("bulk events").push(bulk);
        Ok(Response::new(pb::TopicEventBulkResponse { statuses }))
    }

    async fn on_job_event(&self, _: Request<pb::JobEventRequest>) -> Result<Response<pb::JobEventResponse>, Status> {
        Err(Status::unimplemented("no jobs in the test app"))
    }
}

#[tonic::async_trait]
impl AppCallbackHealthCheck for Callbacks {
    async fn health_check(&self, _: Request<()>) -> Result<Response<pb::HealthCheckResponse>, Status> {
        Ok(Response::new(pb::HealthCheckResponse {}))
    }
}
