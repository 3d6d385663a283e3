//! The polled side of a [`TcpStream`]: `AsyncRead` and `AsyncWrite` of tokio and of futures-io over the host's streams.
//! Costs one boxed future a transfer and one copy; [`super::Reader`] and [`super::Writer`] avoid both.

use super::halves::{RawReader, RawWriter};
use super::tcp::{Bytes, End, Sink, TcpStream, reason};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wit_bindgen::StreamResult;

const READ_SIZE: usize = 16 * 1024;
/// What may wait behind a write that is under way.
const WRITE_LIMIT: usize = 128 * 1024;

type Transfer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum ReadState {
    Idle(Bytes, End),
    Reading(Transfer<(Bytes, End, StreamResult, Vec<u8>)>),
    Ending(Transfer<io::Result<()>>),
    Ended,
}

pub(super) struct Receive {
    state: ReadState,
    buffer: Vec<u8>,
    at: usize,
}

impl Receive {
    pub(super) fn new(bytes: Bytes, end: End) -> Self {
        Self { state: ReadState::Idle(bytes, end), buffer: Vec::new(), at: 0 }
    }

    pub(super) fn into_raw(self) -> Option<RawReader> {
        match self.state {
            ReadState::Idle(bytes, end) if self.at == self.buffer.len() => Some(RawReader::new(bytes, end)),
            _ => None,
        }
    }

    /// Ready with bytes in the buffer, or with none at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.at == self.buffer.len() {
            match std::mem::replace(&mut self.state, ReadState::Ended) {
                ReadState::Idle(mut bytes, end) => {
                    let mut buffer = std::mem::take(&mut self.buffer);
                    buffer.clear();
                    buffer.reserve(READ_SIZE);
                    self.at = 0;
                    self.state = ReadState::Reading(Box::pin(async move {
                        let (result, buffer) = bytes.read(buffer).await;
                        (bytes, end, result, buffer)
                    }));
                }
                ReadState::Reading(mut transfer) => {
                    let Poll::Ready((bytes, end, result, buffer)) = transfer.as_mut().poll(cx) else {
                        self.state = ReadState::Reading(transfer);
                        return Poll::Pending;
                    };
                    self.buffer = buffer;
                    self.state = match result {
                        StreamResult::Dropped => ReadState::Ending(Box::pin(reason(end))),
                        StreamResult::Complete(_) | StreamResult::Cancelled => ReadState::Idle(bytes, end),
                    };
                }
                ReadState::Ending(mut end) => {
                    let Poll::Ready(outcome) = end.as_mut().poll(cx) else {
                        self.state = ReadState::Ending(end);
                        return Poll::Pending;
                    };
                    outcome?;
                }
                ReadState::Ended => break,
            }
        }
        Poll::Ready(Ok(self.buffer.get(self.at..).unwrap_or_default()))
    }
}

enum WriteState {
    Idle(Sink, End),
    Writing(Transfer<(Sink, End, Vec<u8>)>),
    Ending(Transfer<io::Result<()>>, bool),
    Ended,
    Failed(io::ErrorKind),
}

pub(super) struct Transmit {
    state: WriteState,
    queued: Vec<u8>,
    /// Set while a writer waits, who will then drive the write; otherwise the reading side does.
    waiting: Option<Waker>,
}

fn gone(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "the connection is closed for writing")
}

impl Transmit {
    pub(super) fn new(sink: Sink, end: End) -> Self {
        Self { state: WriteState::Idle(sink, end), queued: Vec::new(), waiting: None }
    }

    pub(super) fn into_raw(self) -> Option<RawWriter> {
        match self.state {
            WriteState::Idle(sink, end) if self.queued.is_empty() => Some(RawWriter::new(sink, end)),
            _ => None,
        }
    }

    /// Ready when everything queued has been taken by the host.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match std::mem::replace(&mut self.state, WriteState::Ended) {
                WriteState::Idle(sink, end) if self.queued.is_empty() => {
                    self.state = WriteState::Idle(sink, end);
                    return Poll::Ready(Ok(()));
                }
                WriteState::Idle(mut sink, end) => {
                    let data = std::mem::take(&mut self.queued);
                    self.state = WriteState::Writing(Box::pin(async move {
                        let rest = sink.write_all(data).await;
                        (sink, end, rest)
                    }));
                }
                WriteState::Writing(mut transfer) => {
                    let Poll::Ready((sink, end, mut rest)) = transfer.as_mut().poll(cx) else {
                        self.state = WriteState::Writing(transfer);
                        return Poll::Pending;
                    };
                    self.state = if rest.is_empty() {
                        if self.queued.is_empty() {
                            // The buffer comes back empty and is used again.
                            std::mem::swap(&mut self.queued, &mut rest);
                        }
                        WriteState::Idle(sink, end)
                    } else {
                        WriteState::Ending(Box::pin(reason(end)), false)
                    };
                }
                WriteState::Ending(mut end, orderly) => {
                    let Poll::Ready(outcome) = end.as_mut().poll(cx) else {
                        self.state = WriteState::Ending(end, orderly);
                        return Poll::Pending;
                    };
                    let outcome = if orderly { outcome } else { outcome.and(Err(gone(io::ErrorKind::BrokenPipe))) };
                    self.state = outcome.as_ref().err().map_or(WriteState::Ended, |e| WriteState::Failed(e.kind()));
                    return Poll::Ready(outcome);
                }
                WriteState::Ended => return Poll::Ready(if self.queued.is_empty() { Ok(()) } else { Err(gone(io::ErrorKind::BrokenPipe)) }),
                WriteState::Failed(kind) => {
                    self.state = WriteState::Failed(kind);
                    return Poll::Ready(Err(gone(kind)));
                }
            }
        }
    }

    fn poll_queue(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.state {
            WriteState::Ended => return Poll::Ready(Err(gone(io::ErrorKind::BrokenPipe))),
            WriteState::Failed(kind) => return Poll::Ready(Err(gone(kind))),
            _ => {}
        }
        self.waiting = None;
        if self.queued.len() >= WRITE_LIMIT {
            if let Poll::Ready(outcome) = self.poll_drain(cx) {
                outcome?;
            }
            if self.queued.len() >= WRITE_LIMIT {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let mut taken = 0;
        for slice in slices {
            let part = slice.get(..slice.len().min(WRITE_LIMIT.saturating_sub(self.queued.len()))).unwrap_or_default();
            self.queued.extend_from_slice(part);
            taken += part.len();
        }
        // Starts a write when none is under way. Its outcome is for the next call.
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = self.poll_drain(cx);
        self.waiting = outcome.is_pending().then(|| cx.waker().clone());
        outcome
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        if let WriteState::Idle(..) = self.state
            && let WriteState::Idle(sink, end) = std::mem::replace(&mut self.state, WriteState::Ended)
        {
            // The end of the stream is what the host turns into FIN.
            drop(sink);
            self.state = WriteState::Ending(Box::pin(reason(end)), true);
        }
        self.poll_flush(cx)
    }
}

impl TcpStream {
    /// A write that nobody waits for still goes on while its owner only reads.
    fn drive_write(&mut self, cx: &mut Context<'_>) {
        if self.transmit.waiting.is_none() && matches!(self.transmit.state, WriteState::Writing(_)) {
            let _ = self.transmit.poll_drain(cx);
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.drive_write(cx);
        let data = ready!(this.receive.poll_fill(cx))?;
        let part = data.get(..data.len().min(into.remaining())).unwrap_or_default();
        into.put_slice(part);
        this.receive.at += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().transmit.poll_queue(cx, &[IoSlice::new(data)])
    }
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.get_mut().transmit.poll_queue(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transmit.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transmit.poll_close(cx)
    }
}

impl futures_io::AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(AsyncRead::poll_read(self, cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl futures_io::AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, data)
    }
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(self, cx, slices)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(self, cx)
    }
}
