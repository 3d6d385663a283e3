//! TLS inside the component: rustls with ring, TLS 1.2 and 1.3.
//!
//! Trust is what the options say: the given authorities, otherwise Mozilla's public ones (the machine's own store is out of a
//! component's reach). Build one [`Connector`] from the configuration and keep it: it holds the parsed certificates and the session cache.

mod verify;

use super::TcpStream;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use std::io;
use std::sync::Arc;
use std::time::Duration;
pub use tokio_rustls::client::TlsStream;

/// How to trust and how to prove oneself. Certificates and keys are PEM texts; a CA and a certificate may hold several blocks.
#[derive(Clone, Default)]
pub struct Options {
    /// Authorities to trust instead of the public ones.
    pub root_ca: Option<Vec<u8>>,
    /// Trust the public authorities in addition to `root_ca`.
    pub public_roots_too: bool,
    pub client_certificate: Option<Vec<u8>>,
    pub client_key: Option<Vec<u8>>,
    /// Accept any certificate. The connection is then open to anyone in between.
    pub insecure_skip_verify: bool,
    /// The name to ask for and to verify, when it differs from the host that is dialled.
    pub server_name: Option<String>,
    /// Protocols to offer, for example `h2`.
    pub alpn: Vec<Vec<u8>>,
}

/// What is wrong with the options. The text names the part.
#[derive(Debug)]
pub struct OptionsError(String);

impl std::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for OptionsError {}

fn wrong(part: &str, why: impl std::fmt::Display) -> OptionsError {
    OptionsError(format!("{part}: {why}"))
}

/// Opens encrypted connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    inner: tokio_rustls::TlsConnector,
    server_name: Option<String>,
}

impl Connector {
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = client_config(options, provider)?;
        config.alpn_protocols = options.alpn.clone();
        Ok(Self { inner: Arc::new(config).into(), server_name: options.server_name.clone() })
    }

    /// Dials and shakes hands; `timeout` bounds each of the two.
    pub async fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<TlsStream<TcpStream>> {
        let tcp = super::connect(host, port, timeout).await?;
        self.handshake(tcp, host, timeout).await
    }

    /// Encrypts a connection that is already open (STARTTLS and the like).
    pub async fn handshake(&self, tcp: TcpStream, host: &str, timeout: Duration) -> io::Result<TlsStream<TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not a server name")))?;
        match crate::time::timeout(timeout, self.inner.connect(name, tcp)).await {
            Some(outcome) => outcome.map_err(|e| io::Error::new(e.kind(), format!("tls: {e}"))),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "tls: handshake timeout")),
        }
    }
}

fn client_config(options: &Options, provider: Arc<CryptoProvider>) -> Result<ClientConfig, OptionsError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("TLS versions", e))?
        .dangerous();
    let builder = if options.insecure_skip_verify {
        builder.with_custom_certificate_verifier(Arc::new(verify::Anyone::new(provider)))
    } else {
        let (roots, pinned) = roots(options)?;
        builder.with_custom_certificate_verifier(Arc::new(verify::Trusted::new(roots, pinned, provider).map_err(|e| wrong("root CA", e))?))
    };
    match (&options.client_certificate, &options.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).map_err(|e| wrong("client certificate", e))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong("client key", e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| wrong("client certificate and key", e))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) => Err(wrong("client key", "missing, although a client certificate is given")),
        (None, Some(_)) => Err(wrong("client certificate", "missing, although a client key is given")),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    if found.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(found) }
}

fn roots(options: &Options) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), OptionsError> {
    let mut store = RootCertStore::empty();
    let mut pinned = Vec::new();
    if let Some(pem) = &options.root_ca {
        pinned = certificates(pem).map_err(|e| wrong("root CA", e))?;
        for certificate in &pinned {
            store.add(certificate.clone()).map_err(|e| wrong("root CA", e))?;
        }
    }
    if options.root_ca.is_none() || options.public_roots_too {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok((store, pinned))
}
