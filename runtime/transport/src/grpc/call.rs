//! One call from its first byte to its last: counted in the `grpc_io_server_*` series and written to the API log.
//!
//! The record is made when the answer's trailers leave, or when the call is dropped before (code `Canceled`). It costs a few atomic
//! adds; the log line is built only when API logging is on.

use super::error::name;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use proa_core::Metrics;
use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::Code;

/// The bytes in front of each message on the wire.
const FRAMING: u64 = 5;

/// What is known of a call so far.
pub(super) struct Call {
    metrics: Metrics,
    method: Cow<'static, str>,
    streams: bool,
    begun: Instant,
    received: Arc<AtomicU64>,
    sent: u64,
    code: Code,
    /// The caller's user agent, when the call is to be logged.
    log: Option<String>,
    done: bool,
}

impl Call {
    pub(super) fn begin(metrics: Metrics, method: Cow<'static, str>, streams: bool, log: Option<String>) -> Self {
        Self { metrics, method, streams, begun: Instant::now(), received: Arc::default(), sent: 0, code: Code::Cancelled, log, done: false }
    }

    /// Wraps the request's body, so that its bytes are counted.
    pub(super) fn count(&self, body: Incoming) -> Counted {
        Counted { body, received: self.received.clone() }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The call has ended with this code.
    pub(super) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        self.code = code;
        let elapsed = self.begun.elapsed();
        if !self.streams {
            let received = self.received.load(Ordering::Relaxed).saturating_sub(FRAMING);
            self.metrics.grpc_server(&self.method, name(code), elapsed, received, self.sent.saturating_sub(FRAMING));
        }
        if let Some(agent) = &self.log {
            let (duration, code) = (elapsed.as_millis() as u64, code as i32);
            if agent.is_empty() {
                tracing::info!(target: "dapr.runtime.grpc.api-info", code, duration, method = %self.method, "gRPC API Called");
            } else {
                tracing::info!(target: "dapr.runtime.grpc.api-info", code, duration, method = %self.method, useragent = %agent, "gRPC API Called");
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(self.code);
    }
}

/// A request's body with its bytes counted.
pub(super) struct Counted {
    body: Incoming,
    received: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.received.fetch_add(data.remaining() as u64, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
