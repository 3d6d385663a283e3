//! TLS between sidecars, both sides with their certificates: what the internal server and the connections to peers take.
//!
//! Servers believe every client with a chain to the trust anchors and a SPIFFE ID, and say who it is; clients believe only the application
//! that they mean to call. Settings are made anew when the identity was renewed; connections that exist stay.

use super::peer::{Expected, ServerIs};
use super::spiffe::SpiffeId;
use super::{Identity, Security, TlsError};
use proa_core::access::Caller;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use std::sync::Arc;

const H2: &[u8] = b"h2";

/// This sidecar's own certificate, whoever asks.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Security {
    /// Settings for accepting other sidecars, of the identity as of now.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let identity = self.identity();
        let mut made = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of, config)) = made.as_ref()
            && Arc::ptr_eq(of, &identity)
        {
            return Ok(config.clone());
        }
        let config = Arc::new(server(&identity)?);
        *made = Some((identity, config.clone()));
        Ok(config)
    }

    /// Settings for calling the application `app_id` in `namespace`, of the identity as of now.
    pub(crate) fn client(&self, namespace: &str, app_id: &str) -> Result<ClientConfig, TlsError> {
        let identity = self.identity();
        let provider = Arc::new(ring::default_provider());
        let id = Expected::Path(format!("/ns/{namespace}/{app_id}"));
        let verifier = ServerIs { id, roots: identity.anchors.roots().clone(), provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Own(identity.certified.clone())));
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
    }
}

fn server(identity: &Identity) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(identity.anchors.roots().clone(), provider.clone()).build();
    let clients = clients.map_err(|e| TlsError::Anchors(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(Own(identity.certified.clone())));
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(config)
}

/// Who a verified certificate speaks for. The outer error: nobody; the inner one: somebody who is no application.
pub(crate) fn caller(certificate: Option<&CertificateDer<'_>>) -> Result<Result<Caller, String>, TlsError> {
    let id = SpiffeId::of(certificate.ok_or(TlsError::NoCertificate)?)?;
    Ok(Caller::parse(id.trust_domain(), id.path()))
}
