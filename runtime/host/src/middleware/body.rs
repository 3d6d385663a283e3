//! Bodies on their way between host and guest. A guest's body is complete only when its trailers future has resolved: a writer that is
//! gone before that is an error for the reader.

use super::BoxError;
use crate::ctx::Ctx;
use crate::wit::proa::middleware::types::{Error, Headers};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, FutureConsumer, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult};

/// Any body inside the host.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// The largest piece that is taken from a guest at a time.
const CHUNK: usize = 64 << 10;

pub fn empty() -> Body {
    http_body_util::Empty::new().map_err(|e| match e {}).boxed_unsync()
}

pub fn full(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes).map_err(|e| match e {}).boxed_unsync()
}

/// A body that keeps something for as long as it lives.
pub fn kept(body: Body, keep: impl Send + 'static) -> Body {
    Kept { body, _keep: keep }.boxed_unsync()
}

struct Kept<T> {
    body: Body,
    _keep: T,
}

// Nothing of it is pinned: the body is a box.
impl<T> Unpin for Kept<T> {}

impl<T> http_body::Body for Kept<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Without it, what has a length would be sent in chunks.
    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

pub type Trailers = Result<Option<Headers>, Error>;
type Streams = (StreamReader<u8>, FutureReader<Trailers>);

/// Takes bytes that a guest writes, one piece at a time: the channel's room is the back pressure.
pub struct GuestBytes(PollSender<Bytes>);

impl GuestBytes {
    pub fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self(PollSender::new(sender))
    }
}

impl StreamConsumer<Ctx> for GuestBytes {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<Ctx>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_reserve(cx) {
            Poll::Ready(Ok(())) => {
                let mut source = source.as_direct(store);
                let available = source.remaining();
                let piece = Bytes::copy_from_slice(available.get(..available.len().min(CHUNK)).unwrap_or_default());
                let taken = piece.len();
                if taken == 0 {
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
                Poll::Ready(Ok(match self.0.send_item(piece) {
                    Ok(()) => {
                        source.mark_read(taken);
                        StreamResult::Completed
                    }
                    Err(_) => StreamResult::Dropped,
                }))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

struct GuestTrailers(Option<oneshot::Sender<Trailers>>);

impl FutureConsumer<Ctx> for GuestTrailers {
    type Item = Trailers;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<Ctx>,
        mut source: Source<'_, Trailers>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut value = None;
        source.read(store, &mut value)?;
        if let (Some(sender), Some(value)) = (self.0.take(), value) {
            // The reader may be gone; then nobody misses the trailers.
            let _ = sender.send(value);
        }
        Poll::Ready(Ok(()))
    }
}

/// A body that a guest writes.
struct GuestBody {
    chunks: Option<mpsc::Receiver<Bytes>>,
    trailers: Option<oneshot::Receiver<Trailers>>,
    /// What it breaks off with. That comes a turn after what went before it: a server drops what it has not sent when a body fails.
    broken: Option<BoxError>,
}

/// The host's side of a guest's streams.
pub fn from_guest(mut store: StoreContextMut<'_, Ctx>, (data, trailers): Streams) -> wasmtime::Result<Body> {
    let (chunk, chunks) = mpsc::channel(1);
    let (resolve, resolved) = oneshot::channel();
    data.pipe(&mut store, GuestBytes::new(chunk))?;
    trailers.pipe(&mut store, GuestTrailers(Some(resolve)))?;
    Ok(GuestBody { chunks: Some(chunks), trailers: Some(resolved), broken: None }.boxed_unsync())
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(chunks) = &mut self.chunks {
            match ready!(chunks.poll_recv(cx)) {
                Some(chunk) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                None => self.chunks = None,
            }
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(trailers) = &mut self.trailers else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(trailers).poll(cx));
        self.trailers = None;
        let error: BoxError = match outcome {
            Ok(Ok(None)) => return Poll::Ready(None),
            Ok(Ok(Some(list))) => return Poll::Ready(Some(super::head::header_map(list).map(Frame::trailers).map_err(Into::into))),
            Ok(Err(error)) => super::error_text(&error).into(),
            Err(_) => "middleware ended in the middle of a body".into(),
        };
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A host's body that a guest reads.
struct HostBody {
    body: Body,
    trailers: Option<oneshot::Sender<Trailers>>,
}

impl HostBody {
    fn end(&mut self, trailers: Trailers) -> StreamResult {
        if let Some(sender) = self.trailers.take() {
            let _ = sender.send(trailers);
        }
        StreamResult::Dropped
    }
}

impl StreamProducer<Ctx> for HostBody {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, Ctx>,
        mut destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A read of nothing asks whether there is something; a body cannot tell without being read.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        loop {
            let frame = match http_body::Body::poll_frame(Pin::new(&mut self.body), cx) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            let ended = match frame {
                None => self.end(Ok(None)),
                Some(Err(error)) => self.end(Err(Error::Broken(error.to_string()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        destination.set_buffer(data);
                        return Poll::Ready(Ok(StreamResult::Completed));
                    }
                    Err(frame) => {
                        let map = frame.into_trailers().unwrap_or_default();
                        let list = map.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
                        self.end(Ok(Some(list)))
                    }
                },
            };
            return Poll::Ready(Ok(ended));
        }
    }
}

/// The guest's side of a host's body.
pub fn to_guest(mut store: StoreContextMut<'_, Ctx>, body: Body) -> wasmtime::Result<Streams> {
    let (resolve, resolved) = oneshot::channel();
    let data = StreamReader::new(&mut store, HostBody { body, trailers: Some(resolve) })?;
    let trailers = FutureReader::new(&mut store, async move {
        Ok::<Trailers, wasmtime::Error>(resolved.await.unwrap_or_else(|_| Err(Error::Broken("the body was not read to its end".into()))))
    })?;
    Ok((data, trailers))
}
