//! The metadata of Dapr's component. Names, defaults and texts are Dapr's.

use amqp_core::{Dial, Method, Table, Value};
use broker_core::{security, ttl};
use proa_sdk::properties::invalid;
use proa_sdk::{Config, InitError, Properties};
use std::time::Duration;

pub struct Settings {
    pub queue: String,
    pub durable: bool,
    pub delete_when_unused: bool,
    pub exclusive: bool,
    pub prefetch: u16,
    pub reconnect_wait: Duration,
    arguments: Table,
}

impl Settings {
    pub fn read(config: &Config) -> Result<(Self, Dial), InitError> {
        let p = Properties::from(config);
        let host = p.get("host").ok_or_else(|| invalid("host", "missing host address"))?;
        let queue = p.get("queueName").ok_or_else(|| invalid("queueName", "missing queue Name"))?.to_owned();
        let address = Dial::parse(host).map_err(|e| invalid("host", e))?;
        let fields = ["caCert", "clientCert", "clientKey"];
        let options = security::options(&p, fields)?;
        let tls = if address.scheme == "amqps" { Some(security::connector(&options)?) } else { None };
        let external = tls.is_some() && p.bool("externalSasl").unwrap_or(false) && fields.iter().all(|f| p.get(f).is_some());
        let mut arguments = Table::new();
        let pairs: Vec<(String, String)> = config.properties.iter().map(|e| (e.name.clone(), e.value.clone())).collect();
        let life = ttl(&pairs).map_err(|e| invalid("ttl", format!("failed to parse TTL: {e}")))?;
        arguments.extend(life.map(|t| ("x-message-ttl".into(), Value::Int(i64::try_from(t.as_millis()).unwrap_or(i64::MAX)))));
        let priority = p.number::<u64>("maxPriority").map_err(|_| invalid("maxPriority", "can't parse maxPriority field"))?;
        arguments.extend(priority.map(|n| ("x-max-priority".into(), Value::Int(i64::try_from(n.min(255)).unwrap_or(255)))));
        let settings = Self {
            queue,
            durable: p.bool("durable").unwrap_or(false),
            delete_when_unused: p.bool("deleteWhenUnused").unwrap_or(false),
            exclusive: p.bool("exclusive").unwrap_or(false),
            prefetch: p.number("prefetchCount")?.unwrap_or(0),
            reconnect_wait: p.duration("reconnectWaitInSeconds", Duration::from_secs(1))?.unwrap_or(Duration::from_secs(5)),
            arguments,
        };
        Ok((settings, Dial { address, tls, external, heartbeat: Duration::from_secs(10), name: None }))
    }

    pub fn declare(&self) -> Method {
        Method::QueueDeclare {
            name: self.queue.clone(),
            passive: false,
            durable: self.durable,
            exclusive: self.exclusive,
            auto_delete: self.delete_when_unused,
            arguments: self.arguments.clone(),
        }
    }
}
