//! What every call passes before and after its handler, in Dapr's order: allow-list, API token, trace context, metrics and log.
//!
//! Unknown methods and services are refused here with the words of gRPC for Go.

use super::access::{Method, Methods};
use super::answer::{self, Answer};
use super::api::Api;
use super::call::Call;
use super::error::refused;
use super::internal::Internal;
use super::server::Role;
use super::{reflection, trace};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use proa_core::Runtime;
use proa_protocol::internals::v1::service_invocation_server::ServiceInvocationServer;
use proa_protocol::runtime::v1::dapr_server::DaprServer;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::Service;
use tonic::service::Routes;

const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");
const REFLECTION: &str = "/grpc.reflection.";

/// The entry of one server; a clone is one more reference to it.
#[derive(Clone)]
pub(super) struct Entry(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    methods: Methods,
    service: Served,
    reflection: Option<Routes>,
    /// What callers have to show.
    token: Option<String>,
    traces: bool,
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
        Self(Arc::new(Inner {
            runtime: runtime.clone(),
            methods,
            service,
            reflection: reflection::routes(role),
            token,
            traces: trace::enabled(&configuration.tracing.sampling_rate),
            logs: of_api && options.enable_api_logging.unwrap_or(configuration.api_logging.enabled),
        }))
    }

    async fn answer(self, mut request: Request<Incoming>) -> Response<Answer> {
        let inner = &*self.0;
        let Some(method) = inner.methods.find(request.uri().path()) else {
            return inner.other(request).await;
        };
        if method.denied {
            return answer::refusal(refused(501, "requested endpoint is not available"));
        }
        if let Err(status) = inner.authenticate(request.headers_mut()) {
            return answer::refusal(status);
        }
        let incoming = match trace::incoming(request.headers(), inner.traces) {
            Ok(incoming) => incoming,
            Err(status) => return answer::refusal(status),
        };
        request.extensions_mut().insert(incoming.cx);
        let call = Call::begin(inner.runtime.metrics().clone(), method, inner.agent(request.headers()));
        let request = request.map(|body| call.count(body));
        let mut response = inner.service.call(request).await;
        let headers = response.headers_mut();
        if let Some(baggage) = incoming.baggage {
            headers.insert("baggage", baggage);
        }
        if let Some(echo) = incoming.echo.filter(|_| echoes(method)) {
            headers.insert(trace::BINARY, echo);
        }
        answer::finish(response, call)
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

    /// Reflection, and what is not served.
    async fn other(&self, mut request: Request<Incoming>) -> Response<Answer> {
        if let Err(status) = self.authenticate(request.headers_mut()) {
            return answer::refusal(status);
        }
        if let Some(routes) = self.reflection.as_ref().filter(|_| request.uri().path().starts_with(REFLECTION)) {
            let Ok(response) = routes.clone().call(request.map(tonic::body::Body::new)).await;
            return answer::unrecorded(response);
        }
        let path = request.uri().path().trim_start_matches('/');
        let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
        let text = match service {
            "dapr.proto.runtime.v1.Dapr" | "dapr.proto.internals.v1.ServiceInvocation" if self.serves(service) => {
                format!("unknown method {method} for service {service}")
            }
            _ => format!("unknown service {service}"),
        };
        answer::refusal(Status::unimplemented(text))
    }

    fn serves(&self, service: &str) -> bool {
        matches!(self.service, Served::Api(_)) == service.ends_with(".Dapr")
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
        let entry = self.clone();
        Box::pin(async move { Ok(entry.answer(request).await) })
    }
}

/// Compares in a time that does not tell where the difference is.
fn same(shown: &[u8], token: &[u8]) -> bool {
    shown.len() == token.len() && shown.iter().zip(token).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
