//! Opening a connection: TLS, who we are.

use crate::packet::{self, Connect, Packet};
use broker_core::{Address, Incoming};
use proa_sdk::net::{self, Stream, Writer, tls::Connector};
use proa_sdk::time;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How to reach the server.
#[derive(Clone)]
pub struct Dial {
    pub address: Address,
    pub tls: Option<Connector>,
    pub client_id: String,
    pub clean: bool,
}

impl Dial {
    pub fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, |scheme| match scheme {
            "mqtt" | "tcp" => Some(1883),
            "mqtts" | "ssl" | "tls" | "tcps" => Some(8883),
            _ => None,
        })
    }

    pub fn is_encrypted(address: &Address) -> bool {
        !matches!(address.scheme.as_str(), "mqtt" | "tcp")
    }

    pub(crate) async fn open(&self) -> Result<(Incoming, Writer), String> {
        time::timeout(LIMIT, self.attempt()).await.unwrap_or_else(|| Err("context deadline exceeded".into()))
    }

    async fn attempt(&self) -> Result<(Incoming, Writer), String> {
        let (host, port) = (&self.address.host, self.address.port);
        let stream: Stream = match &self.tls {
            Some(connector) => connector.connect(host, port, LIMIT).await.map_err(|e| e.to_string())?.into(),
            None => net::connect(host, port, LIMIT).await.map_err(|e| e.to_string())?.into(),
        };
        let (reader, mut writer) = stream.into_halves().map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        let hello = Connect {
            client_id: &self.client_id,
            clean: self.clean,
            keep_alive: u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(30),
            user: self.address.user.as_deref(),
            password: self.address.password.as_deref().filter(|p| !p.is_empty()),
        };
        packet::connect(&mut out, &hello);
        writer.write_all(&mut out).await.map_err(|e| e.to_string())?;
        let mut incoming = Incoming::new(reader);
        loop {
            if let Some((packet, length)) = packet::next(incoming.bytes())? {
                incoming.consume(length);
                let Packet::Accepted { code, .. } = packet else { return Err("the server does not greet".into()) };
                return match code {
                    0 => Ok((incoming, writer)),
                    1 => Err("unacceptable protocol version".into()),
                    2 => Err("identifier rejected".into()),
                    3 => Err("server Unavailable".into()),
                    4 => Err("bad user name or password".into()),
                    5 => Err("not Authorized".into()),
                    code => Err(format!("refused with code {code}")),
                };
            }
            incoming.fill().await.map_err(|e| e.to_string())?;
        }
    }
}
