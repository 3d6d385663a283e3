//! Traces: the context that calls carry (W3C trace context and baggage) and the spans that this sidecar adds to it.
//!
//! A server starts a [`Span`] and runs the call [`within`] it; everything below finds it as [`current`], and clients send it on. With
//! tracing unconfigured what came is handed on: one look at the headers, and no span. With a rate of 0 nothing is looked at. Spans are
//! recorded only when they are sampled, and go to one [`Sink`] when they end. Nothing here fails: what is malformed is left out.

mod baggage;
mod context;
mod span;
mod tracer;

pub use baggage::check_baggage;
pub use context::{Link, SpanContext, is_tracestate};
pub use span::{Attribute, Kind, Record, Span, Value};
pub use tracer::{Sink, Tracer, is_on};

use futures::future::Either;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Span;
}

/// Runs `work` with `span` as the current one. It holds for what runs in the same task.
pub fn within<F: Future>(span: Option<Span>, work: F) -> Either<TaskLocalFuture<Span, F>, F> {
    match span {
        Some(span) => Either::Left(CURRENT.scope(span, work)),
        None => Either::Right(work),
    }
}

/// The span that this task's call is in.
pub fn current() -> Option<Span> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The current span, if it takes attributes.
pub fn recording() -> Option<Span> {
    CURRENT.try_with(|span| span.is_recording().then(|| span.clone())).ok().flatten()
}
