//! The three fields for TLS that Dapr's brokers share: PEM texts, checked when the component starts.

use proa_sdk::net::tls::{Connector, Options};
use proa_sdk::properties::invalid;
use proa_sdk::{InitError, Properties};

fn pem(properties: &Properties, name: &str) -> Result<Option<Vec<u8>>, InitError> {
    match properties.get(name) {
        None => Ok(None),
        Some(text) if text.contains("-----BEGIN ") && text.contains("-----END ") => Ok(Some(text.as_bytes().to_vec())),
        Some(_) => Err(invalid(name, "is no PEM text")),
    }
}

/// The options that the fields `ca`, `certificate` and `key` say. A certificate counts only together with its key.
pub fn options(properties: &Properties, [ca, certificate, key]: [&str; 3]) -> Result<Options, InitError> {
    let (root_ca, client_certificate, client_key) = (pem(properties, ca)?, pem(properties, certificate)?, pem(properties, key)?);
    let both = client_certificate.is_some() && client_key.is_some();
    Ok(Options { root_ca, client_certificate: client_certificate.filter(|_| both), client_key: client_key.filter(|_| both), ..Options::default() })
}

pub fn connector(options: &Options) -> Result<Connector, InitError> {
    Connector::new(options).map_err(|e| InitError::Other(format!("invalid TLS configuration: {e}")))
}
