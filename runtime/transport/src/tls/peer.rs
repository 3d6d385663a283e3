//! Believes a server that has a chain to the trust anchors and the SPIFFE ID that was expected; host names say nothing.
//!
//! Costs what the check of a chain costs, per handshake. Fails the handshake with a reason that names both IDs.

use super::spiffe::SpiffeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Who a server has to be.
#[derive(Debug)]
pub(super) enum Expected {
    Exactly(SpiffeId),
    /// An application: the path of its ID, in whatever trust domain it is.
    Path(String),
}

impl Expected {
    fn check(&self, found: &SpiffeId) -> Result<(), rustls::Error> {
        match self {
            Self::Exactly(id) if found == id => Ok(()),
            Self::Path(path) if found.path() == path => Ok(()),
            Self::Exactly(id) => Err(refused(Unexpected { found: found.to_string(), expected: id.to_string() })),
            Self::Path(_) => Err(refused(Other(found.to_string()))),
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct ServerIs {
    pub id: Expected,
    pub roots: Arc<RootCertStore>,
    pub provider: Arc<CryptoProvider>,
}

/// A chain that is in order belongs to someone else.
#[derive(thiserror::Error)]
#[error("unexpected ID {found:?}, expected {expected:?}")]
struct Unexpected {
    found: String,
    expected: String,
}

/// rustls shows a verifier's own errors in this form only.
impl std::fmt::Debug for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The certificate of another application.
#[derive(thiserror::Error)]
#[error("unexpected SPIFFE ID: {0:?}")]
struct Other(String);

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

fn refused(why: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

impl ServerCertVerifier for ServerIs {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let found = SpiffeId::of(end_entity).map_err(refused)?;
        self.id.check(&found)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
