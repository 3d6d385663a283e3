//! A call's answer on its way out: the codec's limits in gRPC for Go's words, errors with headers of their own, the end recorded.
//!
//! A failure is sent as headers and then trailers, because clients find metadata beside a failure (`metadata.statusCode` of a
//! binding, the trace) only in proper headers.

use super::activity::Busy;
use super::call::Call;
use super::deadline;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};
use http_body::{Body, Frame, SizeHint};
use proa_core::trace::Span;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// An answer's body.
pub(super) struct Answer {
    content: Content,
    call: Option<Call>,
    /// Ends with the answer.
    span: Open,
    /// When the caller's time is over.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The connection is of use until this is dropped.
    _busy: Option<Busy>,
}

enum Content {
    Messages(tonic::body::Body),
    /// Nothing but the end.
    Trailers(Option<HeaderMap>),
}

/// A refusal that is no call: trailers in place of headers, nothing recorded.
pub(super) fn refusal(status: Status) -> Response<Answer> {
    status.into_http::<tonic::body::Body>().map(|body| Answer::new(Content::Messages(body), None))
}

/// Ties the answer to its span.
pub(super) fn traced(mut response: Response<Answer>, span: Option<Span>) -> Response<Answer> {
    response.body_mut().span = Open(span);
    response
}

/// Ties the answer to its call.
pub(super) fn finish(response: Response<tonic::body::Body>, call: Call) -> Response<Answer> {
    let (mut parts, body) = response.into_parts();
    if !parts.headers.contains_key(&STATUS) {
        return Response::from_parts(parts, Answer::new(Content::Messages(body), Some(call)));
    }
    let mut trailers = HeaderMap::new();
    for name in [STATUS, MESSAGE, DETAILS] {
        if let Some(value) = parts.headers.remove(&name) {
            trailers.insert(name, value);
        }
    }
    worded(&mut trailers);
    Response::from_parts(parts, Answer::new(Content::Trailers(Some(trailers)), Some(call)))
}

/// Ties an answer of somebody else's to its call, as it is.
pub(super) fn passed(response: Response<tonic::body::Body>, mut call: Call) -> Response<Answer> {
    if let Some(code) = status(response.headers()) {
        call.end(code);
    }
    response.map(|body| Answer::new(Content::Messages(body), Some(call)))
}

/// Ties the answer of something that is not recorded.
pub(super) fn unrecorded(response: Response<tonic::body::Body>) -> Response<Answer> {
    response.map(|body| Answer::new(Content::Messages(body), None))
}

/// A message over the limit is `ResourceExhausted` for every other gRPC implementation.
fn worded(trailers: &mut HeaderMap) {
    if trailers.get(&STATUS).is_none_or(|code| code != "11") {
        return;
    }
    let Some(status) = Status::from_header_map(trailers) else { return };
    let text = status.message();
    let what = if text.starts_with("Error, decoded message length") {
        "grpc: received message larger than max"
    } else if text.starts_with("Error, encoded message length") {
        "trying to send message larger than max"
    } else {
        return;
    };
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let (Some(size), Some(limit)) = (numbers.next(), numbers.next()) else { return };
    let status = Status::resource_exhausted(format!("{what} ({size} vs. {limit})"));
    // Both values are plain ASCII.
    let _ = status.add_header(trailers);
}

fn code(trailers: &HeaderMap) -> Code {
    status(trailers).unwrap_or(Code::Unknown)
}

/// The code in headers or trailers, if there is one.
pub(super) fn status(headers: &HeaderMap) -> Option<Code> {
    headers.get(&STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

impl Answer {
    fn new(content: Content, call: Option<Call>) -> Self {
        Self { content, call, span: Open(None), deadline: None, _busy: None }
    }

    pub(super) fn keep(mut self, busy: Busy) -> Self {
        self._busy = Some(busy);
        self
    }

    /// Ends it at that moment, if it has not ended before.
    pub(super) fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(Box::pin(tokio::time::sleep_until(deadline)));
        self
    }

    /// What takes the place of everything that would still come.
    fn late(&mut self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        // Plain ASCII.
        let _ = deadline::exceeded().add_header(&mut trailers);
        self.ended(&trailers);
        (self.content, self.deadline) = (Content::Trailers(None), None);
        trailers
    }

    fn ended(&mut self, trailers: &HeaderMap) {
        let code = code(trailers);
        if let Some(mut call) = self.call.take() {
            call.end(code);
        }
        let Some(span) = self.span.0.take() else { return };
        if code != Code::Ok {
            span.fail(Status::from_header_map(trailers).map_or_else(String::new, |status| status.message().to_owned()));
        }
        span.end();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Ok(Frame::trailers(self.late()))));
        }
        let body = match &mut self.content {
            Content::Trailers(trailers) => {
                let trailers = trailers.take();
                if let Some(trailers) = &trailers {
                    self.ended(trailers);
                }
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            Content::Messages(body) => body,
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        match frame.into_trailers() {
            Ok(mut trailers) => {
                worded(&mut trailers);
                self.ended(&trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Err(frame) => {
                if let (Some(call), Some(data)) = (&mut self.call, frame.data_ref()) {
                    call.sent(data.len());
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Trailers(trailers) => trailers.is_none(),
            Content::Messages(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The span of an answer that has not come to its end.
struct Open(Option<Span>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            span.fail("the caller went away");
            span.end();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_message_over_the_limit_is_resource_exhausted() {
        let mut trailers = HeaderMap::new();
        let text = "Error, decoded message length too large: found 2064 bytes, the limit is: 1000 bytes";
        Status::out_of_range(text).add_header(&mut trailers).unwrap();
        worded(&mut trailers);
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "grpc: received message larger than max (2064 vs. 1000)"));

        let mut other = HeaderMap::new();
        Status::out_of_range("no").add_header(&mut other).unwrap();
        worded(&mut other);
        assert_eq!(Status::from_header_map(&other).unwrap().code(), Code::OutOfRange);
    }
}
