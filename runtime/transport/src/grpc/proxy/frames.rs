//! Bodies of proxied calls: the length of each message is held against the limit as its bytes pass, and a failure becomes a status.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use proa_core::Metrics;
use proa_core::metrics::CallShape;
use proa_host::middleware::{Body, BoxError};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

/// The bytes in front of each message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// What is wrong with the request, for whoever answers it.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Status>>>);

impl Fault {
    pub(super) fn take(&self) -> Option<Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn set(&self, status: Status) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(status);
    }
}

/// Looks at the lengths of messages that pass in pieces of any size.
pub(super) struct Lengths {
    limit: usize,
    /// What is still to come of the message.
    left: usize,
    head: [u8; HEAD],
    have: usize,
    /// How many have begun.
    messages: usize,
}

impl Lengths {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, left: 0, head: [0; HEAD], have: 0, messages: 0 }
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn see(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.left > 0 {
                let pass = self.left.min(data.len());
                self.left -= pass;
                data = data.get(pass..).unwrap_or_default();
                continue;
            }
            let (byte, rest) = data.split_first().map_or((0, data), |(b, r)| (*b, r));
            if let Some(place) = self.head.get_mut(self.have) {
                *place = byte;
            }
            (self.have, data) = (self.have + 1, rest);
            if self.have == HEAD {
                let [_, length @ ..] = self.head;
                (self.left, self.have) = (u32::from_be_bytes(length) as usize, 0);
                self.messages += 1;
                if self.left > self.limit {
                    return Err(Status::resource_exhausted(format!("grpc: received message larger than max ({} vs. {})", self.left, self.limit)));
                }
            }
        }
        Ok(())
    }
}

/// A call of the application's, counted: one for each attempt. A unary call that is given up is counted as that.
pub(super) struct Record {
    metrics: Metrics,
    destination: String,
    shape: CallShape,
    begun: Instant,
    deadline: Option<Instant>,
    done: bool,
}

impl Record {
    pub(super) fn begin(metrics: Metrics, destination: String, shape: CallShape, deadline: Option<Instant>) -> Self {
        metrics.invoke_request_sent(&destination, shape);
        Self { metrics, destination, shape, begun: Instant::now(), deadline, done: false }
    }

    pub(super) fn end(mut self, code: Code) {
        self.count(code);
    }

    fn count(&mut self, code: Code) {
        if !std::mem::replace(&mut self.done, true) {
            self.metrics.invoke_response_received(&self.destination, code as i32, self.shape, self.begun.elapsed());
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.shape == CallShape::Unary {
            let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            self.count(if late { Code::DeadlineExceeded } else { Code::Cancelled });
        }
    }
}

/// A body on its way back; a failure ends it with a status.
pub(super) struct Outward {
    body: Option<Body>,
    lengths: Lengths,
    fault: Fault,
    record: Option<Record>,
    /// When the time of the attempt is over that this answers.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Outward {
    pub(super) fn new(body: Body, limit: usize, fault: Fault, record: Option<Record>, deadline: Option<Instant>) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        Self { body: Some(body), lengths: Lengths::new(limit), fault, record, deadline }
    }

    fn end(&mut self, status: Status) -> Frame<Bytes> {
        let status = self.fault.take().unwrap_or(status);
        self.ended(status.code());
        self.body = None;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", (status.code() as i32).into());
        }
        Frame::trailers(trailers)
    }

    fn ended(&mut self, code: Code) {
        if let Some(record) = self.record.take() {
            record.end(code);
        }
    }
}

impl http_body::Body for Outward {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.body.is_some() && self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Some(Ok(self.end(crate::grpc::deadline::exceeded()))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Ok(self.end(broken(error))))),
            Some(Ok(frame)) => frame,
        };
        if let Some(Err(status)) = frame.data_ref().map(|data| self.lengths.see(data)) {
            return Poll::Ready(Some(Ok(self.end(status))));
        }
        if let Some(trailers) = frame.trailers_ref() {
            let code = crate::grpc::answer::status(trailers).unwrap_or(Code::Unknown);
            self.ended(code);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

pub(super) fn broken(error: BoxError) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => {
            let status = Status::from_error(error);
            let code = if status.code() == Code::Unknown { Code::Unavailable } else { status.code() };
            Status::new(code, format!("error reading from server: {}", status.message()))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_seen_across_pieces() {
        let mut message = vec![0, 0, 0, 0, 3, 1, 2, 3, 1, 0, 0, 0, 0];
        let mut lengths = Lengths::new(3);
        for byte in &message {
            lengths.see(&[*byte]).unwrap();
        }
        assert_eq!(lengths.messages(), 2);
        Lengths::new(3).see(&message).unwrap();
        message[4] = 4;
        let status = Lengths::new(3).see(&message).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "grpc: received message larger than max (4 vs. 3)"));
    }
}
