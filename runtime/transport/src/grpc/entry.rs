//! What every call passes before and after its handler, in Dapr's order: allow-list, API token, trace context, metrics and log.
//!
//! Whatever is not served here is passed on to the application that the call names ([`super::proxy`]).

use super::access::{Method, Methods};
use super::activity::Activity;
use super::answer::{self, Answer};
use super::api::Api;
use super::call::Call;
use super::error::refused;
use super::internal::Internal;
use super::server::Role;
use super::{deadline, proxy, reflection, trace};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use proa_core::Runtime;
use proa_core::access::{Called, Caller};
use proa_core::trace::{Tracer, within};
use proa_protocol::internals::v1::service_invocation_server::ServiceInvocationServer;
use proa_protocol::runtime::v1::dapr_server::DaprServer;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::Service;
use tonic::service::Routes;

const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");
const REFLECTION: &str = "/grpc.reflection.";

/// The entry of one server as one connection sees it; a clone is one more reference to it.
#[derive(Clone)]
pub(super) struct Entry {
    inner: Arc<Inner>,
    peer: Known,
    /// The connection's.
    activity: Arc<Activity>,
}

/// What is known of who is at the other end of a connection. Goes with each request, as an extension.
#[derive(Clone, Debug, Default)]
pub(super) enum Known {
    /// Without TLS everyone is nobody.
    #[default]
    Nobody,
    App(Arc<Caller>),
    /// A certificate that speaks for no application.
    Odd(Arc<str>),
}

impl Known {
    pub(super) fn of(read: Result<Caller, String>) -> Self {
        read.map_or_else(|why| Self::Odd(why.into()), |caller| Self::App(Arc::new(caller)))
    }

    /// Whether the access control list lets the call through.
    pub(super) fn permit(&self, runtime: &Runtime, called: Called<'_>) -> Result<(), Status> {
        let Some(list) = runtime.access() else { return Ok(()) };
        let outcome = match self {
            Self::Nobody => list.check(runtime.metrics(), None, called),
            Self::App(caller) => list.check(runtime.metrics(), Some(caller), called),
            Self::Odd(why) => Err(why.to_string()),
        };
        outcome.map_err(Status::permission_denied)
    }
}

struct Inner {
    runtime: Arc<Runtime>,
    methods: Methods,
    service: Served,
    role: Role,
    /// Made when the first call asks for it.
    reflection: OnceLock<Option<Routes>>,
    /// What callers have to show.
    token: Option<String>,
    tracer: Tracer,
    logs: bool,
}

enum Served {
    Api(DaprServer<Api>),
    Internal(ServiceInvocationServer<Internal>),
}

impl Entry {
    pub(super) fn new(runtime: &Arc<Runtime>, role: Role, stop: &CancellationToken) -> Self {
        let (options, configuration) = (runtime.options(), runtime.configuration());
        let limit = options.max_body_size;
        let (methods, service) = match role {
            Role::Api => {
                let server = DaprServer::new(Api::new(runtime.clone(), stop.clone()));
                (Methods::of_api(runtime), Served::Api(server.max_decoding_message_size(limit).max_encoding_message_size(limit)))
            }
            Role::Internal => {
                let server = ServiceInvocationServer::new(Internal::new(runtime.clone()));
                (Methods::of_internal(), Served::Internal(server.max_decoding_message_size(limit).max_encoding_message_size(limit)))
            }
        };
        let of_api = role == Role::Api;
        let token = options.api_token.clone().filter(|token| of_api && !token.is_empty());
        if token.is_some() {
            tracing::info!(target: "dapr.runtime.grpc.api", "Enabled token authentication on gRPC server");
        }
        let tracer = runtime.tracer();
        if tracer.is_on() {
            tracing::info!(target: "dapr.runtime.grpc.api", "Enabled gRPC tracing middleware");
        }
        let inner = Arc::new(Inner {
            runtime: runtime.clone(),
            methods,
            service,
            role,
            reflection: OnceLock::new(),
            token,
            tracer,
            logs: of_api && options.enable_api_logging.unwrap_or(configuration.api_logging.enabled),
        });
        Self { inner, peer: Known::Nobody, activity: Activity::new() }
    }

    pub(super) fn for_peer(&self, peer: Known, activity: Arc<Activity>) -> Self {
        Self { inner: self.inner.clone(), peer, activity }
    }

    /// Within the time that the caller gives.
    async fn timely(self, request: Request<Incoming>) -> Response<Answer> {
        let Some(deadline) = deadline::of(request.headers()) else { return self.answer(request).await };
        match tokio::time::timeout_at(deadline, self.answer(request)).await {
            Ok(response) => response.map(|answer| answer.until(deadline)),
            Err(_) => answer::refusal(deadline::exceeded()),
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Response<Answer> {
        let inner = &*self.inner;
        let Some(method) = inner.methods.find(request.uri().path()) else {
            return inner.other(request, &self.peer).await;
        };
        if method.denied {
            return answer::refusal(refused(501, "requested endpoint is not available"));
        }
        if let Err(status) = inner.authenticate(request.headers_mut()) {
            return answer::refusal(status);
        }
        let kind = trace::kind_of(request.headers(), method.path, &inner.runtime.options().app_id);
        let incoming = match trace::incoming(request.headers(), &inner.tracer, inner.runtime.metrics(), kind, method.path) {
            Ok(incoming) => incoming,
            Err(status) => return answer::refusal(status),
        };
        request.extensions_mut().insert(incoming.cx);
        request.extensions_mut().insert(self.peer);
        let call = Call::begin(inner.runtime.metrics().clone(), method.path.into(), method.streams, inner.agent(request.headers()));
        let request = request.map(|body| call.count(body));
        let mut response = within(incoming.span.clone(), inner.service.call(request)).await;
        let headers = response.headers_mut();
        if let Some(baggage) = incoming.baggage {
            headers.insert("baggage", baggage);
        }
        if let Some(echo) = incoming.echo.filter(|_| echoes(method)) {
            headers.insert(trace::BINARY, echo);
        }
        answer::traced(answer::finish(response, call), incoming.span)
    }
}

/// Service invocation hands the app's own headers back instead.
fn echoes(method: &Method) -> bool {
    !method.path.ends_with("/InvokeService")
}

impl Inner {
    fn authenticate(&self, headers: &mut HeaderMap) -> Result<(), Status> {
        let Some(token) = &self.token else { return Ok(()) };
        match headers.get(&TOKEN) {
            None => Err(refused(401, "missing api token in request metadata")),
            Some(shown) if !same(shown.as_bytes(), token.as_bytes()) => Err(refused(401, "authentication error: api token mismatch")),
            Some(_) => {
                headers.remove(&TOKEN);
                Ok(())
            }
        }
    }

    /// The user agent, when the call is to be logged; empty when there is none.
    fn agent(&self, headers: &HeaderMap) -> Option<String> {
        self.logs.then(|| headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default().to_owned())
    }

    /// Reflection, and services of applications.
    async fn other(&self, mut request: Request<Incoming>, peer: &Known) -> Response<Answer> {
        if let Err(status) = self.authenticate(request.headers_mut()) {
            return answer::refusal(status);
        }
        let reflects = request.uri().path().starts_with(REFLECTION);
        if reflects && let Some(routes) = self.reflection.get_or_init(|| reflection::routes(self.role)) {
            let Ok(response) = routes.clone().call(request.map(tonic::body::Body::new)).await;
            return answer::unrecorded(response);
        }
        let path = request.uri().path().to_owned();
        if self.tracer.is_on() && !proxy::names_a_target(request.headers()) {
            // What looks at traces says so before what passes calls on would.
            return answer::refusal(Status::unknown("cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata"));
        }
        let kind = trace::kind_of(request.headers(), &path, &self.runtime.options().app_id);
        let span = match trace::incoming(request.headers(), &self.tracer, self.runtime.metrics(), kind, &path) {
            Ok(incoming) => incoming.span,
            Err(status) => return answer::refusal(status),
        };
        let call = Call::begin(self.runtime.metrics().clone(), path.into(), true, self.agent(request.headers()));
        let response = within(span.clone(), proxy::pass(&self.runtime, peer, request, call)).await;
        answer::traced(response, span)
    }
}

impl Served {
    async fn call<B>(&self, request: Request<B>) -> Response<tonic::body::Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let Ok(response) = match self {
            Self::Api(server) => server.clone().call(request).await,
            Self::Internal(server) => server.clone().call(request).await,
        };
        response
    }
}

impl hyper::service::Service<Request<Incoming>> for Entry {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (entry, busy) = (self.clone(), self.activity.call());
        Box::pin(async move { Ok(entry.timely(request).await.map(|answer| answer.keep(busy))) })
    }
}

/// Compares in a time that does not tell where the difference is.
fn same(shown: &[u8], token: &[u8]) -> bool {
    shown.len() == token.len() && shown.iter().zip(token).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
