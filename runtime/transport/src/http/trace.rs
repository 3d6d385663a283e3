//! The trace of a request over HTTP: its span from the first look at the headers to the answer's head, and what answers say of it.

use super::invoke;
use super::query::unescape_path;
use super::reply::{self, Reply};
use crate::body::Inbound;
use crate::routes::{Operation, Params, Route};
use crate::trace as wire;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use proa_core::Metrics;
use proa_core::trace::{Kind, Link, Span, Tracer, recording};
use std::net::SocketAddr;

/// A request's trace.
pub(super) struct Traced {
    span: Option<Span>,
    baggage: Option<HeaderValue>,
}

impl Traced {
    /// None when there is nothing to look at: tracing is off, or it is a health check.
    ///
    /// # Errors
    /// The refusal of malformed baggage.
    pub(super) fn begin(tracer: &Tracer, metrics: &Metrics, request: &Request<Inbound>, peer: Option<SocketAddr>) -> Result<Option<Self>, Reply> {
        let headers = request.headers();
        if !tracer.is_on() || request.uri().path().contains("/healthz") {
            return Ok(None);
        }
        let baggage = wire::baggage(headers, metrics).map_err(|why| reply::text(StatusCode::BAD_REQUEST, &why))?;
        let span = tracer.start(Kind::Client, || unescape_path(request.uri().path()).into_owned(), wire::parent(headers, metrics));
        if let Some(span) = span.as_ref().filter(|span| span.is_recording()) {
            describe(span, request, peer);
        }
        Ok(Some(Self { span, baggage: baggage.and_then(|b| HeaderValue::try_from(b).ok()) }))
    }

    pub(super) fn span(&self) -> Option<Span> {
        self.span.clone()
    }

    /// The head of the answer is known: the span ends, and the caller is told of it, unless the application has done so.
    pub(super) fn finish(self, reply: &mut Reply) {
        let status = reply.status();
        let headers = reply.headers_mut();
        if let Some(baggage) = self.baggage {
            headers.entry(wire::BAGGAGE).or_insert(baggage);
        }
        if !headers.contains_key(wire::PARENT) {
            let nothing = Link::default();
            wire::put(headers, self.span.as_ref().map_or(&nothing, Span::link));
        }
        if let Some(span) = self.span {
            span.set("dapr.status_code", status.as_str());
            span.http_status(status);
            span.end();
        }
    }
}

fn describe(span: &Span, request: &Request<Inbound>, peer: Option<SocketAddr>) {
    let method = request.method().as_str();
    wire::wishes(span, request.headers());
    span.set("dapr.protocol", "http");
    span.set("dapr.api", &format!("{method} {}", span.name()));
    span.set("http.request.method", method);
    span.set("url.full", request.uri().path_and_query().map_or("", |p| p.as_str()));
    if let Some(peer) = peer {
        span.set("server.address", &peer.ip().to_string());
        span.set("server.port", &peer.port().to_string());
    }
}

/// What the route adds to the current span, if it is recorded.
pub(super) fn describe_route(route: &Route, params: &Params<'_>, parts: &Parts) {
    let Some(span) = recording() else { return };
    let path = unescape_path(parts.uri.path());
    let param = |at: usize| super::query::unescape(params.get(at)).unwrap_or_default();
    let stored = |system: &str, name: &str| {
        span.set("db.system", system);
        span.set("db.connection_string", system);
        span.set("db.statement", &format!("{} {path}", parts.method));
        span.set("db.name", name);
    };
    match route.operation {
        Operation::GetState
        | Operation::SaveState
        | Operation::DeleteState
        | Operation::GetBulkState
        | Operation::StateTransaction
        | Operation::QueryState => stored("state", &param(0)),
        Operation::GetSecret | Operation::GetBulkSecret => stored("secrets", &param(0)),
        Operation::InvokeBinding => stored("bindings", &param(0)),
        Operation::Publish | Operation::BulkPublish => {
            span.set("messaging.system", "pubsub");
            span.set("messaging.destination.name", &param(1));
        }
        Operation::InvokeService => {
            if let Some((app, method)) = invoke::target(&path, &parts.headers) {
                span.set("rpc.service", "ServiceInvocation");
                span.set("net.peer.name", &app);
                span.rename(format!("CallLocal/{app}/{method}"));
            }
        }
        Operation::Actors => actor(&span, route, &param(0), &param(1), &param(2), stored),
        _ => {}
    }
}

/// Names of actors' calls leave ids out: there is no end of them.
fn actor(span: &Span, route: &Route, kind: &str, id: &str, third: &str, stored: impl Fn(&str, &str)) {
    let actor = format!("{kind}.{id}");
    span.set("dapr.actor", &actor);
    match route.name {
        "InvokeActor" => {
            span.set("rpc.service", "ServiceInvocation");
            span.set("net.peer.name", &actor);
            span.rename(format!("CallActor/{kind}/{third}"));
        }
        "GetActorState" | "ExecuteActorStateTransaction" => stored("state", "actor"),
        name => span.rename(format!("{name}/{kind}")),
    }
}
