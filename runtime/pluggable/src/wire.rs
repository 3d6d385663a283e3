//! One connection to the socket of a component, for as long as the process behind it lives.
//!
//! A connection is never silently made anew: the process that answers next knows nothing of what the one before was told, so whoever
//! holds a connection must learn that it is gone.

use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Tells the process which of its instances is meant: the component's name.
const INSTANCE: &str = "x-component-instance";

/// What the generated clients call through.
pub type Wire = InterceptedService<Channel, Instance>;

/// See [`INSTANCE`].
#[derive(Clone)]
pub struct Instance(Option<MetadataValue<Ascii>>);

impl Instance {
    /// Names nobody, for calls that are about the process itself.
    pub fn none() -> Self {
        Self(None)
    }

    /// A name that is no header value is left out.
    pub fn new(name: &str) -> Self {
        Self(MetadataValue::try_from(name).ok())
    }
}

impl Interceptor for Instance {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(name) = &self.0 {
            request.metadata_mut().insert(INSTANCE, name.clone());
        }
        Ok(request)
    }
}

/// A second connection was asked for: the first one takes no more calls.
#[derive(Debug, thiserror::Error)]
#[error("the connection takes no more calls")]
pub struct Spent;

/// Whether a call failed before it left, because its connection takes no more.
pub fn never_left(status: &tonic::Status) -> bool {
    let mut link = std::error::Error::source(status);
    while let Some(error) = link {
        if error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Spent>()) {
            return true;
        }
        link = error.source();
    }
    false
}

/// Connects. The token is cancelled when the connection takes no more calls.
pub async fn dial(socket: &Path, instance: Instance) -> Result<(Wire, CancellationToken), String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot connect to socket {}: {why}", socket.display());
    let stream = UnixStream::connect(socket).await.map_err(|e| failed(&e))?;
    let gone = CancellationToken::new();
    let mut only = Some(TokioIo::new(Connection { stream, _gone: gone.clone().drop_guard() }));
    let spent = gone.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let taken = only.take();
        if taken.is_none() {
            spent.cancel();
        }
        std::future::ready(taken.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, Spent)))
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await.map_err(|e| failed(&e))?;
    Ok((InterceptedService::new(channel, instance), gone))
}

/// Says that it is gone when it is dropped, whoever dropped it.
struct Connection {
    stream: UnixStream,
    _gone: DropGuard,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
