//! Bodies that pass a standard stage. `wasi:http` takes the end of a writer for the end of its body; here an end that comes of the store's
//! end is an error. A host's body that the guest only handed on is told apart, and outlives the store.

use super::super::{Body, BoxError};
use super::Call;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

thread_local! {
    /// Whether a host's body ended within the poll that is going on: then the body being polled is that one, and no guest's.
    static HOST_ENDED: Cell<bool> = const { Cell::new(false) };
}

/// A host's body on its way into a guest.
pub struct Inward {
    body: Body,
    call: Arc<Call>,
}

impl Inward {
    pub fn new(body: Body, call: Arc<Call>) -> Self {
        Self { body, call }
    }
}

impl http_body::Body for Inward {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                let text = error.to_string();
                Call::put(&self.call.broken, Some(error));
                Some(Err(Error::InternalError(Some(text))))
            }
            None => {
                HOST_ENDED.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that a guest wrote or handed on.
pub struct Outward {
    body: WasiBody,
    call: Arc<Call>,
    gone: Arc<AtomicBool>,
    over: bool,
    /// Tells the guest how its body fared. Dropped: well.
    sent: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Outward {
    pub fn new(body: WasiBody, call: Arc<Call>, gone: Arc<AtomicBool>, sent: oneshot::Sender<Result<(), Error>>) -> Self {
        Self { body, call, gone, over: false, sent: Some(sent) }
    }
}

impl http_body::Body for Outward {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        HOST_ENDED.set(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = frame {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.over = true;
        let sent = self.sent.take();
        Poll::Ready(match frame {
            Some(Err(error)) => {
                // The guest may be gone, or not have asked.
                let _ = sent.map(|s| s.send(Err(Error::InternalError(Some(error.to_string())))));
                Some(Err(Call::take(&self.call.broken).unwrap_or_else(|| error.into())))
            }
            _ if self.gone.load(Ordering::Acquire) && !HOST_ENDED.get() => Some(Err("middleware ended in the middle of a body".into())),
            _ => None,
        })
    }

    /// A dead writer's channels look as if the body had ended: only what is known to be empty is.
    fn is_end_stream(&self) -> bool {
        self.over || (self.body.size_hint().exact() == Some(0) && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
