//! The configuration, read once. Certificates are PEM texts or the paths of files.

use http_core::Target;
use proa_sdk::net::tls;
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};
use std::time::Duration;

pub struct Settings {
    pub url: String,
    pub tls: tls::Connector,
    /// Header and value.
    pub security_token: Option<(String, String)>,
    pub error_if_not_2xx: bool,
    pub response_timeout: Option<Duration>,
    /// Bytes of a body to read; none for all.
    pub max_body: Option<usize>,
}

const DEFAULT_MAX_BODY: usize = 100 << 20;

pub fn truthy(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on")
}

impl Settings {
    pub fn read(config: &Config) -> Result<Self, InitError> {
        let p = Properties::from(config);
        let url = p.require("url")?.trim().to_owned();
        Target::parse(&url).map_err(|e| invalid("url", e.to_string()))?;
        if let Some(value) = p.get("MTLSRenegotiation")
            && !["RenegotiateNever", "RenegotiateOnceAsClient", "RenegotiateFreelyAsClient"].contains(&value)
        {
            return Err(invalid("MTLSRenegotiation", format!("invalid renegotiation value: {value}")));
        }
        let security_token = p.get("securityTokenHeader").zip(p.get("securityToken")).map(|(h, t)| (h.to_owned(), t.to_owned()));
        let max_body = match p.get("maxResponseBodySize") {
            None => Some(DEFAULT_MAX_BODY),
            Some(text) => size(text).ok_or_else(|| invalid("maxResponseBodySize", format!("invalid value for maxResponseBodySize: {text:?}")))?,
        };
        Ok(Self {
            tls: connector(&p)?,
            url,
            security_token,
            error_if_not_2xx: p.bool("errorIfNot2XX").unwrap_or(true),
            response_timeout: p.duration("responseTimeout", Duration::from_secs(1))?,
            max_body,
        })
    }
}

fn connector(p: &Properties) -> Result<tls::Connector, InitError> {
    let mut options = tls::Options { root_ca: pem(p, "MTLSRootCA")?, alpn: vec![b"http/1.1".to_vec()], ..Default::default() };
    let (certificate, key) = (p.get("MTLSClientCert"), p.get("MTLSClientKey"));
    if certificate.is_some() && key.is_some() {
        options.client_certificate = pem(p, "MTLSClientCert")?;
        options.client_key = pem(p, "MTLSClientKey")?;
    }
    tls::Connector::new(&options).map_err(|e| {
        let text = e.to_string();
        if text.starts_with("root CA") {
            invalid("MTLSRootCA", "failed to add root certificate to certpool")
        } else {
            invalid("MTLSClientCert", format!("failed to load client certificate: {text}"))
        }
    })
}

fn pem(p: &Properties, name: &str) -> Result<Option<Vec<u8>>, InitError> {
    let Some(value) = p.get(name) else { return Ok(None) };
    if value.contains("-----BEGIN") {
        return Ok(Some(value.as_bytes().to_vec()));
    }
    let read = proa_sdk::files::read(value);
    read.map(Some).map_err(|e| invalid(name, format!("provided {name:?} value is neither a valid file path or nor a valid pem encoded string: {e}")))
}

/// A resource quantity in bytes: `100`, `1k`, `10Ki`, `1.5Mi`. Zero and less mean no limit (`Some(None)`); `None` is malformed.
fn size(text: &str) -> Option<Option<usize>> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: f64 = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    Some((bytes > 0.0).then_some(bytes.min(u32::MAX as f64) as usize))
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        assert_eq!(size("100"), Some(Some(100)));
        assert_eq!(size("1.5Ki"), Some(Some(1536)));
        assert_eq!(size("0"), Some(None));
        assert_eq!(size("-1"), Some(None));
        assert_eq!(size("1x"), None);
        assert_eq!(size(""), None);
    }
}
