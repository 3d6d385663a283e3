//! One connection to another sidecar: TCP, and TLS with both certificates when this sidecar has an identity.

use crate::tls::Security;
use http::Uri;
use hyper_util::rt::TokioIo;
use proa_core::invocation::{InvokeError, Peer};
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// For TCP and TLS of one attempt.
const CONNECT: Duration = Duration::from_secs(5);
/// As Dapr's sidecars ping one another, used or not.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const WINDOW: u32 = 1 << 20;

/// Either kind of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A channel that connects with its first call, and again after the connection broke.
pub(super) fn channel(peer: &Peer, security: Option<Arc<Security>>) -> Result<Channel, InvokeError> {
    let address = &peer.address;
    let invalid = |why: &dyn std::fmt::Display| InvokeError::Plain(format!("{address:?} is not an address: {why}"));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| invalid(&e))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW);
    let peer = peer.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (peer, security) = (peer.clone(), security.clone());
        async move {
            let attempt = tokio::time::timeout(CONNECT, open(&peer, security.as_deref())).await;
            Ok::<_, io::Error>(TokioIo::new(attempt.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??))
        }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn open(peer: &Peer, security: Option<&Security>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(peer.address.as_str()).await?;
    stream.set_nodelay(true)?;
    let Some(security) = security else { return Ok(Box::new(stream)) };
    let config = security.client(&peer.namespace, &peer.app_id).map_err(io::Error::other)?;
    // The name is not looked at: certificates speak for applications, not for hosts.
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}
