//! Connections to the application: TCP, with TLS that trusts everyone for `https`, HTTP/2 from the start for `h2c`.

use super::HttpClient;
use futures::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proa_core::AppProtocol;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use std::error::Error as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connections that wait for work, and for how long.
const IDLE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may take to be made.
const DIAL: Duration = Duration::from_secs(10);

/// The client for an application that speaks `protocol`.
pub fn client(protocol: AppProtocol) -> Result<HttpClient, String> {
    let tls = match protocol {
        AppProtocol::Https => Some(TlsConnector::from(Arc::new(crate::tls::trusting().map_err(|e| e.to_string())?))),
        _ => None,
    };
    Ok(build(tls, protocol == AppProtocol::H2c))
}

/// A client that speaks TLS, so set up, where an address asks for it.
pub(crate) fn secure(tls: ClientConfig) -> HttpClient {
    build(Some(TlsConnector::from(Arc::new(tls))), false)
}

fn build(tls: Option<TlsConnector>, only_http2: bool) -> HttpClient {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(PATIENCE).pool_max_idle_per_host(IDLE);
    builder.http2_only(only_http2);
    builder.build(Connect { tls })
}

/// An error with its causes, which say what it was. Certificates that are not believed are told in Go's words, which people search for.
pub fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let wrapped = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|e| e.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(why)) = wrapped {
            return format!("tls: failed to verify certificate: x509: {}", distrust(why));
        }
        text = format!("{text}: {one}");
        cause = one.source();
    }
    text
}

fn distrust(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } | CertificateError::NotValidYet => {
            "certificate has expired or is not yet valid".to_owned()
        }
        other => other.to_string(),
    }
}

/// Makes connections.
#[derive(Clone)]
pub struct Connect {
    pub(crate) tls: Option<TlsConnector>,
}

impl tower_service::Service<Uri> for Connect {
    type Response = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let dialled = tokio::time::timeout(DIAL, dial(tls, uri)).await;
            dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

async fn dial(tls: Option<TlsConnector>, uri: Uri) -> io::Result<Stream> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
    tcp.set_nodelay(true)?;
    match tls.filter(|_| secure) {
        None => Ok(Stream::Plain(TokioIo::new(tcp))),
        Some(tls) => {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Stream::Tls(TokioIo::new(Box::new(tls.connect(name, tcp).await?))))
        }
    }
}

/// A connection.
pub enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(TokioIo<Box<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(io) if io.inner().get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            _ => Connected::new(),
        }
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }
}
