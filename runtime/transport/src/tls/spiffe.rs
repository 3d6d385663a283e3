//! SPIFFE IDs: `spiffe://<trust domain>/ns/<namespace>/<name>`, read from text and from certificates.
//!
//! Only what the SPIFFE standard allows is accepted, so that two IDs that differ in spelling are never the same one.

use rustls::pki_types::CertificateDer;
use std::fmt;

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    trust_domain: String,
    /// With its leading slash; empty for the trust domain itself.
    path: String,
}

/// Why a text or a certificate holds no SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("scheme is missing or invalid")]
    Scheme,
    #[error("trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores")]
    TrustDomain,
    #[error("path segments are limited to letters, numbers, dots, dashes, and underscores, and may be neither empty nor dots")]
    Path,
    #[error("certificate cannot be read: {0}")]
    Certificate(String),
    #[error("certificate contains no URI SAN")]
    NoUri,
    #[error("certificate contains more than one URI SAN")]
    ManyUris,
}

impl SpiffeId {
    /// The ID of `name` in `namespace`.
    ///
    /// # Errors
    /// [`InvalidId`] names the part that the standard does not allow.
    pub fn new(trust_domain: &str, namespace: &str, name: &str) -> Result<Self, InvalidId> {
        if [namespace, name].iter().any(|segment| segment.contains('/')) {
            return Err(InvalidId::Path);
        }
        Self::checked(trust_domain, &format!("/ns/{namespace}/{name}"))
    }

    /// Reads `spiffe://…`.
    ///
    /// # Errors
    /// [`InvalidId`] names the part that the standard does not allow.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let rest = text.strip_prefix("spiffe://").ok_or(InvalidId::Scheme)?;
        let (trust_domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self::checked(trust_domain, path)
    }

    /// The one ID of a certificate.
    ///
    /// # Errors
    /// [`InvalidId`] for a certificate without an ID, or with several.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, InvalidId> {
        let read = webpki::EndEntityCert::try_from(certificate).map_err(|e| InvalidId::Certificate(e.to_string()))?;
        let mut names = read.valid_uri_names();
        let name = names.next().ok_or(InvalidId::NoUri)?;
        match names.next() {
            Some(_) => Err(InvalidId::ManyUris),
            None => Self::parse(name),
        }
    }

    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// `/ns/<namespace>/<name>`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    fn checked(trust_domain: &str, path: &str) -> Result<Self, InvalidId> {
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if trust_domain.is_empty() || !trust_domain.bytes().all(lower) {
            return Err(InvalidId::TrustDomain);
        }
        let segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(|b| lower(b) || b.is_ascii_uppercase());
        if !path.is_empty() && !path.strip_prefix('/').is_some_and(|p| p.split('/').all(segment)) {
            return Err(InvalidId::Path);
        }
        Ok(Self { trust_domain: trust_domain.to_owned(), path: path.to_owned() })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}{}", self.trust_domain, self.path)
    }
}
