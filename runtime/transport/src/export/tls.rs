//! TLS to collectors: certificates that the system trusts, or those of one file.

use crate::app::http::connect::Connect;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Without TLS for none; otherwise with it, trusting the file if there is one.
pub(super) fn connect(secure: Option<Option<&str>>, http2: bool) -> Result<Connect, String> {
    let Some(file) = secure else { return Ok(Connect { tls: None }) };
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let read = |e: rustls::pki_types::pem::Error| format!("cannot read certificates of {file}: {e}");
            for certificate in CertificateDer::pem_file_iter(file).map_err(read)? {
                roots.add(certificate.map_err(read)?).map_err(|e| format!("certificate of {file}: {e}"))?;
            }
        }
        // Systems have certificates that nobody understands; the others serve.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    if http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(Connect { tls: Some(TlsConnector::from(Arc::new(config))) })
}
