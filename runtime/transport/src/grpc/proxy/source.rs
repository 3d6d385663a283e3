//! The request's body of a proxied call, handed out once for each attempt: from its start as long as what was read of it is kept.
//!
//! What is kept is a single message, so that its bound is that of a message; another one ends the call, as it does in Dapr. Once an answer
//! is on its way there is no further attempt. Only the latest attempt reads: one that was given up finds that its body failed.

use super::frames::{Fault, Lengths};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proa_host::middleware::{Body, BoxError};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::Notify;
use tonic::Status;

struct Inside {
    body: Incoming,
    lengths: Lengths,
    kept: Vec<Bytes>,
    /// There may be another attempt.
    keep: bool,
    /// More than one message is refused.
    single: bool,
    /// Something was read.
    read: bool,
    ended: bool,
    /// Which attempt reads, and whether it has begun to.
    turn: u64,
    touched: bool,
}

impl Inside {
    fn see(&mut self, data: &Bytes) -> Result<(), Status> {
        self.lengths.see(data)?;
        if self.single && self.lengths.messages() > 1 {
            return Err(Status::failed_precondition("cannot use resiliency policies with retries on streaming RPCs"));
        }
        Ok(())
    }

    fn keep(&mut self, data: &Bytes) {
        self.read = true;
        if self.keep {
            self.kept.push(data.clone());
        } else {
            // Whoever reads has passed what was kept.
            self.kept = Vec::new();
        }
    }
}

struct Shared {
    inside: Mutex<Inside>,
    begun: Notify,
    fault: Fault,
}

impl Shared {
    /// Never contended for long: nobody waits while holding it.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module's text.
pub(super) struct Source(Arc<Shared>);

impl Source {
    pub(super) fn new(body: Incoming, limit: usize, fault: Fault) -> Self {
        let lengths = Lengths::new(limit);
        let inside = Inside { body, lengths, kept: Vec::new(), keep: false, single: false, read: false, ended: false, turn: 0, touched: false };
        Self(Arc::new(Shared { inside: Mutex::new(inside), begun: Notify::new(), fault }))
    }

    /// From now on what is read is kept. Comes before the first attempt.
    pub(super) fn keep(&self) {
        let mut inside = self.0.inside();
        (inside.keep, inside.single) = (true, true);
    }

    /// There will be no further attempt.
    pub(super) fn release(&self) {
        self.0.inside().keep = false;
    }

    /// Whether another attempt would have the whole request, and the request is not itself what is wrong.
    pub(super) fn is_left(&self) -> bool {
        let inside = self.0.inside();
        (!inside.read || inside.keep) && !self.0.fault.is_set()
    }

    /// Whether the latest attempt got as far as reading the request.
    pub(super) fn touched(&self) -> bool {
        self.0.inside().touched
    }

    /// Waits until the latest attempt reads the request.
    pub(super) async fn begun(&self) {
        while !self.touched() {
            self.0.begun.notified().await;
        }
    }

    /// The request once more, with other headers.
    pub(super) fn request(&self, parts: &Parts, headers: HeaderMap) -> Request<Body> {
        let mut inside = self.0.inside();
        (inside.turn, inside.touched) = (inside.turn.wrapping_add(1), false);
        let inward = Inward { shared: self.0.clone(), turn: inside.turn, next: 0 };
        drop(inside);
        let mut request = Request::new(inward.boxed_unsync());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (parts.method.clone(), parts.uri.clone(), headers);
        *request.version_mut() = http::Version::HTTP_2;
        request
    }
}

/// A body on its way to the application.
struct Inward {
    shared: Arc<Shared>,
    turn: u64,
    /// The next of what is kept.
    next: usize,
}

impl http_body::Body for Inward {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut inside = this.shared.inside();
        if inside.turn != this.turn {
            return Poll::Ready(Some(Err(Status::cancelled("the attempt was given up").into())));
        }
        if !std::mem::replace(&mut inside.touched, true) {
            this.shared.begun.notify_one();
        }
        if let Some(data) = inside.kept.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if !inside.keep && !inside.kept.is_empty() {
            inside.kept = Vec::new();
        }
        if inside.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut inside.body).poll_frame(cx));
        let Some(frame) = frame else {
            inside.ended = true;
            return Poll::Ready(None);
        };
        let frame = frame.map_err(BoxError::from)?;
        if let Some(data) = frame.data_ref() {
            if let Err(status) = inside.see(data) {
                this.shared.fault.set(status.clone());
                return Poll::Ready(Some(Err(status.into())));
            }
            inside.keep(data);
            this.next += 1;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let inside = self.shared.inside();
        inside.turn == self.turn && self.next >= inside.kept.len() && (inside.ended || inside.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
