//! The trace of a call that comes over gRPC: its span, the context for the services, the headers that answer it.

use crate::trace as wire;
use http::{HeaderMap, HeaderValue};
use proa_core::trace::{self, Kind};
use proa_core::{Cx, Metrics, Transport};
use tonic::Status;

pub(crate) use proa_core::trace::{SpanContext as Span, is_on as enabled};

/// The header of the binary form.
pub(crate) const BINARY: &str = "grpc-trace-bin";

/// A call's trace.
pub(super) struct Incoming {
    pub(super) cx: Cx,
    pub(super) span: Option<trace::Span>,
    pub(super) echo: Option<HeaderValue>,
    pub(super) baggage: Option<HeaderValue>,
}

/// Reads the trace headers and starts the call's span; with tracing off only baggage is taken over.
///
/// # Errors
/// Baggage that is not well-formed refuses the call.
pub(super) fn incoming(headers: &HeaderMap, tracer: &trace::Tracer, metrics: &Metrics, kind: Kind, path: &str) -> Result<Incoming, Status> {
    if !tracer.is_on() {
        let mut cx = Cx::new(Transport::Grpc);
        cx.baggage = wire::joined(headers, &wire::BAGGAGE);
        return Ok(Incoming { cx, span: None, echo: None, baggage: None });
    }
    let baggage = wire::baggage(headers, metrics).map_err(Status::invalid_argument)?;
    let span = tracer.start(kind, || path.to_owned(), wire::grpc_parent(headers, metrics));
    if let Some(span) = span.as_ref().filter(|span| span.is_recording()) {
        wire::wishes(span, headers);
        span.set("dapr.protocol", "grpc");
        span.set("dapr.api", path);
    }
    let echo = wire::binary(&span.as_ref().map(trace::Span::context).unwrap_or_default());
    let answered = baggage.as_deref().and_then(|b| HeaderValue::from_str(b).ok());
    let cx = match &span {
        Some(span) => Cx::of(Transport::Grpc, span, baggage),
        None => Cx { baggage, ..Cx::new(Transport::Grpc) },
    };
    Ok(Incoming { cx, span, echo: Some(echo), baggage: answered })
}

/// A proxied call is served where its target is, and sent on elsewhere.
pub(super) fn kind_of(headers: &HeaderMap, path: &str, app_id: &str) -> Kind {
    if path.starts_with("/dapr.proto.internals.") {
        return Kind::Server;
    }
    let target = headers.get("dapr-callee-app-id").or_else(|| headers.get("dapr-app-id"));
    if !path.starts_with("/dapr.proto.runtime.") && target.is_some_and(|target| target == app_id) { Kind::Server } else { Kind::Client }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(headers: &HeaderMap, rate: &str) -> Result<Incoming, Status> {
        incoming(headers, &trace::Tracer::new(rate, None), &Metrics::disabled(), Kind::Client, "/a/B")
    }

    #[test]
    fn a_call_continues_its_callers_trace() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().unwrap());
        let passed = read(&headers, "").ok().unwrap();
        assert_eq!(passed.cx.traceparent.as_deref(), Some(PARENT));
        assert_eq!(passed.echo.unwrap(), wire::binary(&Span::from_text(PARENT).unwrap()));
        let own = read(&headers, "1").ok().unwrap().cx.traceparent.unwrap();
        assert_eq!((&own[..36], &own[52..]), (&PARENT[..36], "-01"));
        assert_ne!(own, PARENT);
        assert!(read(&headers, "0").ok().unwrap().cx.traceparent.is_none());
    }

    #[test]
    fn malformed_baggage_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", "a".parse().unwrap());
        assert_eq!(read(&headers, "").err().unwrap().code(), tonic::Code::InvalidArgument);
        assert_eq!(read(&headers, "0").ok().unwrap().cx.baggage.as_deref(), Some("a"));
    }

    #[test]
    fn who_serves_a_proxied_call() {
        let mut headers = HeaderMap::new();
        headers.insert("dapr-app-id", "me".parse().unwrap());
        assert_eq!(kind_of(&headers, "/some.Service/Do", "me"), Kind::Server);
        assert_eq!(kind_of(&headers, "/some.Service/Do", "you"), Kind::Client);
        assert_eq!(kind_of(&headers, "/dapr.proto.runtime.v1.Dapr/GetState", "me"), Kind::Client);
        assert_eq!(kind_of(&headers, "/dapr.proto.internals.v1.ServiceInvocation/CallLocal", "you"), Kind::Server);
    }
}
