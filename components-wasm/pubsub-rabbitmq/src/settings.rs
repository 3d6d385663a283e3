//! The metadata of Dapr's component. Names, defaults and texts are Dapr's.

use amqp_core::{Dial, Table, Value};
use broker_core::{Address, security, ttl};
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};
use std::time::Duration;

pub struct Settings {
    pub consumer_id: String,
    pub exchange_kind: String,
    pub durable: bool,
    pub delete_when_unused: bool,
    pub dead_letter: bool,
    pub auto_ack: bool,
    pub requeue: bool,
    pub delivery_mode: u8,
    pub prefetch: u16,
    pub reconnect_wait: Duration,
    pub max_len: Option<i64>,
    pub max_len_bytes: Option<i64>,
    pub confirm: bool,
    pub single: bool,
    pub ttl: Option<Duration>,
    pub show_properties: bool,
}

fn address(p: &Properties) -> Result<Address, InitError> {
    let protocol = p.get("protocol");
    if let Some(text) = p.any(&["connectionString", "host"]) {
        let address =
            Dial::parse(text).map_err(|e| invalid("connectionString", format!("rabbitmq pub/sub error: invalid connection string, err: {e}")))?;
        if protocol.is_some_and(|protocol| protocol != address.scheme) {
            return Err(invalid("protocol", "rabbitmq pub/sub error: protocol does not match connection string"));
        }
        return Ok(address);
    }
    let host = p.get("hostname").unwrap_or("localhost");
    let mut address = Dial::parse(&format!("{}://{host}", protocol.unwrap_or("amqp"))).map_err(|e| invalid("hostname", e))?;
    if let Some(user) = p.get("username") {
        address.user = Some(user.to_owned());
        address.password = p.get("password").map(str::to_owned);
    }
    Ok(address)
}

fn dial(p: &Properties) -> Result<Dial, InitError> {
    let fields = ["caCert", "clientCert", "clientKey"];
    let external = p.bool("saslExternal").unwrap_or(false);
    if external && fields.iter().any(|f| p.get(f).is_none()) {
        return Err(invalid("saslExternal", "can only be set to true, when all these properties are set: caCert, clientCert, clientKey"));
    }
    let address = address(p)?;
    let options = security::options(p, fields)?;
    let encrypted = address.scheme == "amqps";
    let tls = if encrypted { Some(security::connector(&options)?) } else { None };
    let heartbeat = p.duration("heartBeat", Duration::from_secs(1))?.unwrap_or(Duration::from_secs(10));
    Ok(Dial { address, tls, external: external && encrypted, heartbeat, name: p.get("clientName").map(str::to_owned) })
}

impl Settings {
    pub fn read(config: &Config) -> Result<(Self, Dial), InitError> {
        let p = Properties::from(config);
        let exchange_kind = p.get("exchangeKind").unwrap_or("fanout").to_owned();
        if !["fanout", "topic", "direct", "headers"].contains(&exchange_kind.as_str()) {
            return Err(invalid("exchangeKind", format!("rabbitmq pub/sub error: invalid RabbitMQ exchange kind {exchange_kind}")));
        }
        let delivery_mode = p.number("deliveryMode")?.unwrap_or(0);
        if delivery_mode > 2 {
            return Err(invalid("deliveryMode", "rabbitmq pub/sub error: invalid RabbitMQ delivery mode, accepted values are between 0 and 2"));
        }
        let pairs: Vec<(String, String)> = config.properties.iter().map(|e| (e.name.clone(), e.value.clone())).collect();
        let ttl = ttl(&pairs).map_err(|e| invalid("ttlInSeconds", format!("rabbitmq pub/sub error: parse RabbitMQ ttl metadata with error: {e}")))?;
        let positive = |name: &str| Ok::<_, InitError>(p.number::<i64>(name)?.filter(|n| *n > 0));
        let settings = Self {
            consumer_id: p.get("consumerID").unwrap_or(&config.app_id).to_owned(),
            exchange_kind,
            durable: p.bool("durable").unwrap_or(true),
            delete_when_unused: p.bool("deletedWhenUnused").unwrap_or(true),
            dead_letter: p.bool("enableDeadLetter").unwrap_or(false),
            auto_ack: p.bool("autoAck").unwrap_or(false),
            requeue: p.bool("requeueInFailure").unwrap_or(false),
            delivery_mode,
            prefetch: p.number::<u8>("prefetchCount")?.unwrap_or(0).into(),
            reconnect_wait: p.duration("reconnectWaitSeconds", Duration::from_secs(1))?.unwrap_or(Duration::from_secs(3)),
            max_len: positive("maxLen")?,
            max_len_bytes: positive("maxLenBytes")?,
            confirm: p.bool("publisherConfirm").unwrap_or(false),
            single: p.get("concurrency").is_some_and(|c| c.eq_ignore_ascii_case("single")),
            ttl,
            show_properties: p.bool("publishMessagePropertiesToMetadata").unwrap_or(false),
        };
        Ok((settings, dial(&p)?))
    }

    /// Limits that every queue of the component has.
    pub fn limits(&self) -> Table {
        let mut table = Table::new();
        table.extend(self.max_len.map(|n| ("x-max-length".to_owned(), Value::Int(n))));
        table.extend(self.max_len_bytes.map(|n| ("x-max-length-bytes".to_owned(), Value::Int(n))));
        table
    }
}
