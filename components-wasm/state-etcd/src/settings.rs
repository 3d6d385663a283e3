//! The configuration, read once. Nothing is dialled: whether the servers are there shows with the first call.

use http_core::Target;
use proa_sdk::net::{join_host_port, split_host_port, tls};
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};

const PORT: u16 = 2379;
/// The server's own default.
const MAX_OPERATIONS: u32 = 128;

pub struct Settings {
    /// At least one; the paths are empty.
    pub endpoints: Vec<Target>,
    pub tls: tls::Connector,
    pub prefix: String,
    /// Of one transaction; 0 for no limit on this side.
    pub max_operations: u32,
}

impl Settings {
    pub fn read(config: &Config) -> Result<Self, InitError> {
        let p = Properties::from(config);
        let secure = p.bool("tlsEnable").unwrap_or(false);
        let mut endpoints = Vec::new();
        for text in p.get("endpoints").unwrap_or_default().split(',').filter(|t| !t.trim().is_empty()) {
            let Some((host, port)) = split_host_port(text, PORT) else { return Err(invalid("endpoints", format!("{text:?} is not host:port"))) };
            let authority = join_host_port(&host, port);
            endpoints.push(Target { secure, host, port, authority, path: String::new(), credentials: None });
        }
        if endpoints.is_empty() {
            return Err(invalid("endpoints", "initializing etcd client: endpoints required"));
        }
        Ok(Self {
            endpoints,
            tls: connector(&p, secure)?,
            prefix: p.get("keyPrefixPath").unwrap_or_default().to_owned(),
            max_operations: p.number("maxTxnOps")?.unwrap_or(MAX_OPERATIONS),
        })
    }
}

fn connector(p: &Properties, secure: bool) -> Result<tls::Connector, InitError> {
    let mut options = tls::Options { alpn: vec![b"http/1.1".to_vec()], ..Default::default() };
    if secure {
        let (Some(ca), Some(cert), Some(key)) = (p.get("ca"), p.get("cert"), p.get("key")) else {
            return Err(invalid("tlsEnable", "initializing etcd client: tls authentication information is incomplete"));
        };
        options.root_ca = Some(ca.as_bytes().to_vec());
        options.client_certificate = Some(cert.as_bytes().to_vec());
        options.client_key = Some(key.as_bytes().to_vec());
    }
    tls::Connector::new(&options).map_err(|e| {
        let text = e.to_string();
        let field = if text.starts_with("root CA") { "ca" } else { "cert" };
        invalid(field, format!("initializing etcd client: tls authentication error: {text}"))
    })
}
