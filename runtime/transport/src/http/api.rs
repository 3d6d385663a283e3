//! What surrounds the router: metrics, CORS, the API token, the middleware of the configuration.

use super::cors::Cors;
use super::reply::Reply;
use super::request::text;
use super::router::Router;
use super::server::Handler;
use super::token::Token;
use super::trace::Traced;
use super::{error, query, reply};
use crate::body::{Inbound, Payload};
use futures::future::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use proa_core::trace::{self, Span, Tracer};
use proa_core::{Metrics, Runtime};
use proa_host::middleware::{Body, BoxError, Peer, Service};
use proa_model::error::common;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The API; clones are the same one.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    tracer: Tracer,
    router: Arc<Router>,
    /// The router as the end of a pipeline.
    end: Arc<dyn Service>,
    cors: Option<Cors>,
    token: Option<Token>,
    limit: usize,
}

impl Api {
    pub fn new(runtime: Arc<Runtime>) -> Self {
        let options = runtime.options();
        let (cors, token, limit) = (Cors::new(&options.allowed_origins), Token::new(options.api_token.as_deref()), options.max_body_size);
        let tracer = runtime.tracer();
        let parts = [
            (tracer.is_on(), "tracing HTTP middleware"),
            (cors.is_some(), "CORS HTTP middleware"),
            (token.is_some(), "token authentication on HTTP server"),
        ];
        for (on, what) in parts {
            if on {
                tracing::info!(target: "dapr.runtime.http", "Enabled {what}");
            }
        }
        let router = Arc::new(Router::api(&runtime));
        Self(Arc::new(Inner { end: Arc::new(End(router.clone(), None)), tracer, runtime, router, cors, token, limit }))
    }
}

impl Handler for Api {
    async fn handle(&self, request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        let inner = &*self.0;
        let traced = match Traced::begin(&inner.tracer, inner.runtime.metrics(), &request, peer) {
            Ok(traced) => traced,
            Err(refusal) => return refusal,
        };
        let span = traced.as_ref().and_then(Traced::span);
        let mut reply = trace::within(span, inner.counted(request, peer)).await;
        if let Some(traced) = traced {
            traced.finish(&mut reply);
        }
        reply
    }
}

/// What is remembered of a request for the metrics.
pub(super) struct Seen {
    begun: Instant,
    method: http::Method,
    uri: http::Uri,
    length: u64,
}

impl Seen {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        let length = text(request.headers(), CONTENT_LENGTH.as_str()).and_then(|l| l.parse().ok()).unwrap_or(0);
        Self { begun: Instant::now(), method: request.method().clone(), uri: request.uri().clone(), length }
    }

    pub(super) fn count(self, metrics: &Metrics, reply: &Reply) {
        let path = query::unescape_path(self.uri.path());
        metrics.http_server(self.method.as_str(), &path, reply.status().as_u16(), self.begun.elapsed(), self.length, reply.body().length());
    }
}

impl Inner {
    async fn counted(&self, request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        let metrics = self.runtime.metrics();
        if !metrics.is_enabled() {
            return self.guarded(request, peer).await;
        }
        let seen = Seen::new(&request);
        let reply = self.guarded(request, peer).await;
        seen.count(metrics, &reply);
        reply
    }

    async fn guarded(&self, mut request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        let mark = match &self.cors {
            None => None,
            Some(cors) => match cors.preflight(&request) {
                Some(answer) => return answer,
                None => Some(cors.mark(&request)),
            },
        };
        let mut reply = match &self.token {
            Some(token) if !token.accept(&mut request) => Token::refusal(),
            _ => self.answer(request, peer).await,
        };
        if let Some(mark) = mark {
            mark.apply(&mut reply);
        }
        reply
    }

    async fn answer(&self, request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        let end = match trace::current() {
            // Middleware ends the task that knows of the span.
            Some(span) => Arc::new(End(self.router.clone(), Some(span))),
            None => self.end.clone(),
        };
        let Some(pipeline) = self.runtime.pipeline(end) else {
            let (parts, body) = request.into_parts();
            return self.router.route(&parts, body).await;
        };
        // The router's future is not part of this one: what has middleware may cost a box.
        Box::pin(self.through(pipeline, request, peer)).await
    }

    async fn through(&self, pipeline: Arc<dyn Service>, mut request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        if request.body().size_hint().lower() > self.limit as u64 {
            let failure = crate::body::read(request.into_body(), self.limit).await.map(drop);
            tracing::debug!(target: "dapr.runtime.http", "body refused: {failure:?}");
            return error::render(self.runtime.metrics(), &common::too_large(self.limit));
        }
        let limit = self.limit;
        let request = request.map(|body| Limited::new(body, limit).boxed_unsync());
        match pipeline.call(request).await {
            Ok(response) => response.map(Payload::Stream),
            Err(failure) => {
                tracing::error!(target: "dapr.runtime.http", "middleware failed: {failure}");
                error::render(self.runtime.metrics(), &common::internal(failure.to_string()))
            }
        }
    }
}

/// The router behind middleware.
struct End(Arc<Router>, Option<Span>);

impl Service for End {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let (router, span) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let reply: Reply = trace::within(span, router.route(&parts, Inbound::Host(body))).await;
            Ok(reply.map(Payload::boxed))
        })
    }
}

/// What nothing answers, as Go's router says it.
pub(super) fn nowhere(known: bool) -> Reply {
    if known {
        return reply::status(http::StatusCode::METHOD_NOT_ALLOWED);
    }
    reply::text(http::StatusCode::NOT_FOUND, "404 page not found")
}
