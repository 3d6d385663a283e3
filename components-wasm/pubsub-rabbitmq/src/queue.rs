//! Queues as Dapr declares them for a subscription, with the dead letters' exchange and queue beside them.

use crate::publish::{declare_exchange, failure};
use crate::settings::Settings;
use amqp_core::{Channel, Method, Table, Value};
use proa_sdk::pubsub::{Error, Metadata};

/// What a subscription asks for.
pub struct Queue {
    pub topic: String,
    pub name: String,
    keys: Vec<String>,
    arguments: Table,
}

fn entry<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
}

fn number(metadata: &Metadata, name: &str) -> Result<Option<u64>, Error> {
    let wrong = |v: &str| Error::InvalidArgument(format!("rabbitmq pub/sub: can't parse {name} {v} value on subscription metadata"));
    entry(metadata, name).map(|v| v.parse().map_err(|_| wrong(v))).transpose()
}

fn text(value: &str) -> Value {
    Value::Text(value.as_bytes().to_vec())
}

impl Queue {
    pub fn new(settings: &Settings, topic: &str, metadata: &Metadata) -> Result<Self, Error> {
        let name = match entry(metadata, "queueName") {
            Some(name) => name.to_owned(),
            None if settings.consumer_id.is_empty() => {
                return Err(Error::InvalidArgument("consumerID is required for subscriptions that don't specify a queue name".into()));
            }
            None => format!("{}-{topic}", settings.consumer_id),
        };
        let mut arguments = Table::new();
        if settings.dead_letter {
            arguments.push(("x-dead-letter-exchange".into(), text(&format!("dlx-{name}"))));
        }
        let whole = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let limits = settings.limits();
        for (field, argument) in [("maxLen", "x-max-length"), ("maxLenBytes", "x-max-length-bytes")] {
            let general = limits.iter().find(|(n, _)| n == argument).map(|(_, v)| v.clone());
            arguments.extend(number(metadata, field)?.map(whole).or(general).map(|v| (argument.to_owned(), v)));
        }
        if let Some(most) = number(metadata, "maxPriority")? {
            arguments.push(("x-max-priority".into(), whole(most.min(255))));
        }
        let kind = entry(metadata, "queueType").unwrap_or("classic");
        if !["classic", "quorum"].contains(&kind) {
            return Err(Error::InvalidArgument(format!("invalid queue type {kind}. Valid types are classic and quorum")));
        }
        arguments.push(("x-queue-type".into(), text(kind)));
        let truthy = |v: &str| matches!(v.trim().to_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on");
        if entry(metadata, "singleActiveConsumer").is_some_and(truthy) {
            arguments.push(("x-single-active-consumer".into(), Value::Bool(true)));
        }
        let keys = entry(metadata, "routingKey").unwrap_or_default().split(',').map(str::to_owned).collect();
        Ok(Self { topic: topic.to_owned(), name, keys, arguments })
    }

    /// A queue that is there already.
    pub fn named(name: &str) -> Self {
        Self { topic: String::new(), name: name.to_owned(), keys: Vec::new(), arguments: Table::new() }
    }

    /// Declares everything, in Dapr's order.
    pub async fn declare(&self, channel: &Channel, settings: &Settings) -> Result<(), Error> {
        let refused = |e| failure(&e);
        declare_exchange(channel, settings, &self.topic, &settings.exchange_kind, settings.durable).await.map_err(refused)?;
        if settings.dead_letter {
            let (exchange, queue) = (format!("dlx-{}", self.name), format!("dlq-{}", self.name));
            declare_exchange(channel, settings, &exchange, "fanout", true).await.map_err(refused)?;
            let mut arguments = settings.limits();
            arguments.push(("x-queue-mode".into(), text("lazy")));
            self.queue(channel, &queue, true, settings, arguments).await?;
            channel.call(&Method::QueueBind { queue, exchange, key: String::new() }).await.map_err(refused)?;
        }
        self.queue(channel, &self.name, settings.durable, settings, self.arguments.clone()).await?;
        for key in &self.keys {
            let bind = Method::QueueBind { queue: self.name.clone(), exchange: self.topic.clone(), key: key.clone() };
            channel.call(&bind).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn queue(&self, channel: &Channel, name: &str, durable: bool, settings: &Settings, arguments: Table) -> Result<(), Error> {
        let (name, auto_delete) = (name.to_owned(), settings.delete_when_unused);
        let declare = Method::QueueDeclare { name, passive: false, durable, exclusive: false, auto_delete, arguments };
        channel.call(&declare).await.map(|_| ()).map_err(|e| failure(&e))
    }

    /// How many consumers the queue has.
    pub async fn consumers(&self, channel: &Channel) -> Option<u32> {
        let name = self.name.clone();
        let look = Method::QueueDeclare { name, passive: true, durable: false, exclusive: false, auto_delete: false, arguments: Table::new() };
        match channel.call(&look).await {
            Ok(Method::QueueDeclareOk { consumers, .. }) => Some(consumers),
            _ => None,
        }
    }
}
