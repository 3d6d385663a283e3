//! Who this sidecar is: the certificate that Sentry signed for it, how it is obtained and how it is kept fresh.
//!
//! An identity costs one round trip to Sentry at start and one per renewal; reading the current one costs a shared lock and a
//! reference count. Sentry is believed only with a chain to the trust anchors and its own SPIFFE ID. While Sentry does not
//! answer, [`Security::acquire`] waits; when it refuses, that is an error. A renewal that fails leaves the old identity in place.
//! Whatever speaks mTLS to other processes takes its keys and its trust from here.

mod mutual;
mod peer;
mod renew;
mod sentry;
mod spiffe;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
mod trusting;

pub(crate) use mutual::caller;
pub use renew::Security;
pub use sentry::IdentityOptions;
pub use spiffe::{InvalidId, SpiffeId};
pub use trusting::trusting;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// A certificate with its key, as Sentry issued it. Never changes; a renewal makes a new one.
#[derive(Debug)]
pub struct Identity {
    /// The leaf's SPIFFE ID.
    pub id: SpiffeId,
    /// PEM of leaf and issuers, leaf first.
    pub chain_pem: Vec<u8>,
    /// The same certificates with the key, in the form that TLS servers and clients take.
    pub certified: Arc<CertifiedKey>,
    /// The private key: Ed25519, PKCS #8.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// What signs the certificates of everyone who is believed.
    pub anchors: TrustAnchors,
    /// When the identity was obtained.
    pub since: SystemTime,
    /// When the leaf stops being valid.
    pub expiry: SystemTime,
    /// The identity token, when Sentry issues one.
    pub jwt: Option<String>,
    /// A token per audience that was asked for.
    pub audience_jwts: BTreeMap<String, String>,
}

impl Identity {
    /// When it should be replaced: after 70 % of the time that was left to it when it was obtained.
    #[must_use]
    pub fn renewal(&self) -> SystemTime {
        let life = self.expiry.duration_since(self.since).unwrap_or_default();
        self.since + life.mul_f64(0.7)
    }
}

/// The certificates that everything else is checked against.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    pem: Arc<str>,
    roots: Arc<RootCertStore>,
}

impl TrustAnchors {
    /// Reads PEM with one certificate or more.
    ///
    /// # Errors
    /// [`TlsError::NoAnchors`] for an empty text, [`TlsError::Anchors`] when a certificate in it cannot be read.
    pub fn from_pem(pem: &str) -> Result<Self, TlsError> {
        if pem.trim().is_empty() {
            return Err(TlsError::NoAnchors);
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| TlsError::Anchors(e.to_string()))?;
            roots.add(certificate).map_err(|e| TlsError::Anchors(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(TlsError::Anchors("no certificate found".to_owned()));
        }
        Ok(Self { pem: pem.into(), roots: Arc::new(roots) })
    }

    /// The text that they were read from.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The form that verifiers take.
    #[must_use]
    pub fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("trust anchors are required")]
    NoAnchors,
    #[error("failed to decode trust anchors: {0}")]
    Anchors(String),
    #[error("control plane trust domain is required")]
    NoTrustDomain,
    #[error("failed to parse sentry SPIFFE ID: {0}")]
    ControlPlane(InvalidId),
    #[error("the address of sentry is required when mTLS is enabled")]
    NoAddress,
    #[error("invalid address of sentry {0:?}")]
    Address(String),
    #[error("failed to generate private key: {0}")]
    Key(String),
    #[error("failed to create sidecar csr: {0}")]
    Csr(String),
    #[error("error obtaining token: {0}")]
    Token(String),
    #[error("error establishing connection to sentry: {0}")]
    Connection(String),
    #[error("error from sentry SignCertificate: rpc error: code = {code:?} desc = {message}")]
    Refused { code: tonic::Code, message: String },
    #[error("error parsing ValidUntil: {0}")]
    ValidUntil(&'static str),
    #[error("error parsing newly signed certificate: {0}")]
    Certificate(String),
    #[error("no certificates received from sentry")]
    NoCertificate,
    #[error("error parsing spiffe id from newly signed certificate: {0}")]
    Id(#[from] InvalidId),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// The options are in order, but what they led to is not.
    #[error("failed to retrieve the initial identity: {0}")]
    Initial(#[source] Box<TlsError>),
}

impl TlsError {
    /// Whether Sentry may simply not be there yet.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Refused { code, .. } => sentry::is_passing(*code),
            Self::Initial(why) => why.is_passing(),
            _ => false,
        }
    }

    /// Label of the series that counts failures; none for what is not Sentry's or the network's doing.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Connection(_) | Self::Address(_) => Some("sentry_conn"),
            Self::Token(_) => Some("sentry_token"),
            Self::Refused { .. } => Some("sign"),
            Self::ValidUntil(_) => Some("invalid_ts"),
            Self::Initial(why) => why.reason(),
            Self::Certificate(_) | Self::NoCertificate | Self::Id(_) => Some("invalid_cert"),
            _ => None,
        }
    }
}
