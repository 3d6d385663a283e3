//! A connection that is plain or encrypted, as the configuration says.

use super::halves::{ReadFrom, Reader, WriteTo, Writer};
use super::tcp::TcpStream;
#[cfg(feature = "tls")]
use super::tls::TlsStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Plain or encrypted. Implements `AsyncRead` and `AsyncWrite` of tokio and of futures-io.
pub enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Both directions on their own. Fails for a stream in the middle of a transfer.
    pub fn into_halves(self) -> io::Result<(Reader, Writer)> {
        match self {
            Self::Plain(tcp) => {
                let (reader, writer) = tcp.into_raw().ok_or_else(|| io::Error::other("a transfer is under way"))?;
                Ok((Reader(ReadFrom::Plain(reader)), Writer(WriteTo::Plain(writer))))
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let (reader, writer) = tokio::io::split(*tls);
                Ok((Reader(ReadFrom::Tls(reader)), Writer(WriteTo::Tls(writer))))
            }
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }
}

#[cfg(feature = "tls")]
impl From<TlsStream<TcpStream>> for Stream {
    fn from(tls: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(tls))
    }
}

macro_rules! on_inner {
    ($self:expr, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain(tcp) => {
                let $inner = Pin::new(tcp);
                $call
            }
            #[cfg(feature = "tls")]
            Stream::Tls(tls) => {
                let $inner = Pin::new(tls.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, inner => AsyncRead::poll_read(inner, cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        on_inner!(self, inner => AsyncWrite::poll_write(inner, cx, data))
    }
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        on_inner!(self, inner => AsyncWrite::poll_write_vectored(inner, cx, slices))
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, inner => AsyncWrite::poll_flush(inner, cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, inner => AsyncWrite::poll_shutdown(inner, cx))
    }
}

impl futures_io::AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(AsyncRead::poll_read(self, cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl futures_io::AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, data)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(self, cx)
    }
}
