//! The metadata of Dapr's component. Names, defaults and texts are Dapr's.

use broker_core::security;
use mqtt_core::Dial;
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};

pub struct Settings {
    pub qos: u8,
    pub retain: bool,
    /// The session of the subscriptions.
    pub dial: Dial,
}

impl Settings {
    pub fn read(config: &Config) -> Result<Self, InitError> {
        let p = Properties::from(config);
        let url = p.get("url").ok_or_else(|| invalid("url", "missing url"))?;
        let address = Dial::parse(url).map_err(|e| invalid("url", e))?;
        let qos = p.number::<u8>("qos")?.unwrap_or(1);
        if qos > 2 {
            return Err(invalid("qos", format!("invalid qos {qos}")));
        }
        let client_id = p.get("consumerID").unwrap_or(&config.app_id).to_owned();
        if client_id.is_empty() {
            return Err(invalid("consumerID", "missing consumerID"));
        }
        let options = security::options(&p, ["caCert", "clientCert", "clientKey"])?;
        let tls = if Dial::is_encrypted(&address) { Some(security::connector(&options)?) } else { None };
        let dial = Dial { address, tls, client_id, clean: p.bool("cleanSession").unwrap_or(false) };
        Ok(Self { qos, retain: p.bool("retain").unwrap_or(false), dial })
    }

    /// Publishing has a client id of its own: the one of the subscriptions belongs to one connection at a time.
    pub fn publishing(&self) -> Dial {
        let tail = uuid::Uuid::new_v4().simple().to_string();
        let client_id = format!("{}-{}", self.dial.client_id, tail.get(..8).unwrap_or_default());
        Dial { client_id, clean: true, ..self.dial.clone() }
    }
}
