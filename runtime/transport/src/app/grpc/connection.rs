//! The connection to the application: TCP, with TLS on top for `grpcs`, without looking at who answers.

use super::failure;
use http::Uri;
use hyper_util::rt::TokioIo;
use proa_core::app::ChannelError;
use proa_core::{AppProtocol, RuntimeOptions};
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// For TCP and TLS of one attempt.
const CONNECT: Duration = Duration::from_secs(20);

/// Where the application is, and how connections to it are made.
pub(super) struct Dial {
    endpoint: Endpoint,
    host: String,
    port: u16,
    tls: Option<Tls>,
}

impl Dial {
    pub(super) fn new(options: &RuntimeOptions) -> Result<Self, ChannelError> {
        let port = options.app_port.ok_or_else(|| failure("the application has no port".to_owned()))?;
        let host = options.app_channel_address.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let endpoint =
            Endpoint::from_shared(format!("http://{authority}")).map_err(|error| failure(format!("invalid app address {authority}: {error}")))?;
        let tls = (options.app_protocol == AppProtocol::Grpcs).then(|| tls(&host)).transpose().map_err(|error| failure(error.to_string()))?;
        Ok(Self { endpoint, host, port, tls })
    }

    /// A channel that connects with its first call, and again after the connection broke.
    pub(super) fn channel(&self) -> Channel {
        let (host, port, tls) = (self.host.clone(), self.port, self.tls.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (host, tls) = (host.clone(), tls.clone());
            async move {
                let attempt = tokio::time::timeout(CONNECT, open(&host, port, tls)).await;
                let stream = attempt.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        self.endpoint.connect_with_connector_lazy(connector)
    }
}

/// Either kind of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What TLS needs to know.
#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

async fn open(host: &str, port: u16, tls: Option<Tls>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connector.connect(tls.name, stream).await?),
    })
}

fn tls(host: &str) -> Result<Tls, Box<dyn std::error::Error>> {
    let mut config = crate::tls::trusting()?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name: ServerName::try_from(host.to_owned())? })
}
