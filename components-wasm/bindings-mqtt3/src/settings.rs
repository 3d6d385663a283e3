//! The metadata of Dapr's component. Names, defaults and texts are Dapr's.

use broker_core::security;
use mqtt_core::Dial;
use proa_sdk::log;
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};

pub struct Settings {
    pub topic: String,
    pub retain: bool,
    /// None: for ever.
    pub retries: Option<u32>,
    /// The session of the input.
    pub dial: Dial,
    client_id: String,
}

impl Settings {
    pub fn read(config: &Config) -> Result<Self, InitError> {
        let p = Properties::from(config);
        let needed = |name: &'static str| p.get(name).ok_or_else(|| invalid(name, format!("missing {name}")));
        let address = Dial::parse(needed("url")?).map_err(|e| invalid("url", e))?;
        let (topic, client_id) = (needed("topic")?.to_owned(), needed("consumerID")?.to_owned());
        let options = security::options(&p, ["caCert", "clientCert", "clientKey"])?;
        let tls = if Dial::is_encrypted(&address) { Some(security::connector(&options)?) } else { None };
        if p.get("qos").is_some() {
            log::warn("Metadata property 'qos' has been deprecated and is ignored; qos is set to 1");
        }
        let retries = p.number::<i64>("backOffMaxRetries")?.unwrap_or(0);
        let dial = Dial { address, tls, client_id: format!("{client_id}-consumer"), clean: p.bool("cleanSession").unwrap_or(false) };
        Ok(Self { topic, retain: p.bool("retain").unwrap_or(false), retries: u32::try_from(retries).ok(), dial, client_id })
    }

    /// Publishing needs no session, and a client id that nobody else has: in a swap two generations publish for a while.
    pub fn publishing(&self) -> Dial {
        let tail = uuid::Uuid::new_v4().simple().to_string();
        let client_id = format!("{}-producer-{}", self.client_id, tail.get(..8).unwrap_or_default());
        Dial { client_id, clean: true, ..self.dial.clone() }
    }
}
