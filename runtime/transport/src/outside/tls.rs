//! How TLS with an endpoint is set up: whose certificates are believed, and which one is shown.

use proa_core::invocation::Endpoint;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The text of an error goes to the caller.
pub(super) fn config(endpoint: &Endpoint) -> Result<ClientConfig, String> {
    let (name, tls) = (&endpoint.name, endpoint.tls.clone().unwrap_or_default());
    if let Some(renegotiation) = tls.renegotiation.as_deref()
        && !matches!(renegotiation, "" | "Never" | "OnceAsClient" | "FreelyAsClient")
    {
        return Err(format!("invalid renegotiation value {renegotiation} for http endpoint {name}"));
    }
    let roots = if tls.root_ca.is_empty() { system() } else { only(&tls.root_ca, name)? };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?.with_root_certificates(roots);
    let mut config = if tls.private_key.is_empty() {
        builder.with_no_client_auth()
    } else {
        let failed = |why: String| format!("failed to load client certificate for http endpoint {name}: {why}");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(tls.certificate.as_bytes()).collect();
        let chain = chain.map_err(|e| failed(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(tls.private_key.as_bytes()).map_err(|e| failed(e.to_string()))?;
        builder.with_client_auth_cert(chain, key).map_err(|e| failed(e.to_string()))?
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn only(pem: &str, name: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(format!("failed to add root cert to cert pool for http endpoint {name}")) } else { Ok(roots) }
}

/// What the system believes; a certificate that cannot be read is left out.
fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
