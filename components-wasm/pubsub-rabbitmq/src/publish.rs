//! Publishing to the exchange that has the topic's name.

use crate::settings::Settings;
use amqp_core::{Channel, Client, Failure, Method, Properties};
use broker_core::{Turns, entry, ttl};
use proa_sdk::log;
use proa_sdk::pubsub::{Error, Metadata};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

/// As often as Dapr's component.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// The channel that publishes, and the exchanges that are known to be there.
pub struct Publishing {
    client: Client,
    settings: Rc<Settings>,
    channel: RefCell<Option<Channel>>,
    declared: RefCell<HashSet<String>>,
    /// Only one task opens a channel or declares an exchange at a time, and in turn.
    turns: Turns,
}

/// What is told to the caller.
pub fn failure(failure: &Failure) -> Error {
    let text = failure.to_string();
    match failure {
        Failure::Lost => Error::Unavailable(text),
        Failure::Refused(403, _) => Error::Denied(text),
        Failure::Refused(404, _) => Error::NotFound(text),
        Failure::Refused(406, _) => Error::InvalidArgument(text),
        Failure::Refused(..) => Error::Other(text),
    }
}

pub async fn declare_exchange(channel: &Channel, settings: &Settings, name: &str, kind: &str, durable: bool) -> Result<(), Failure> {
    let (name, kind, auto_delete) = (name.to_owned(), kind.to_owned(), settings.delete_when_unused);
    channel.call(&Method::ExchangeDeclare { name, kind, durable, auto_delete }).await.map(|_| ())
}

impl Publishing {
    pub fn new(client: Client, settings: Rc<Settings>) -> Self {
        let (channel, declared) = (RefCell::default(), RefCell::default());
        Self { client, settings, channel, declared, turns: Turns::default() }
    }

    /// The channel, with the exchange on it.
    async fn ready(&self, topic: &str) -> Result<Channel, Failure> {
        let there = |publishing: &Self| {
            let channel = publishing.channel.borrow().clone().filter(Channel::is_open)?;
            publishing.declared.borrow().contains(topic).then_some(channel)
        };
        if let Some(channel) = there(self) {
            return Ok(channel);
        }
        let _turn = self.turns.next().await;
        if let Some(channel) = there(self) {
            return Ok(channel);
        }
        let open = self.channel.borrow().clone().filter(Channel::is_open);
        let channel = match open {
            Some(channel) => channel,
            None => {
                let channel = self.client.channel().await?;
                if self.settings.confirm {
                    channel.confirm().await?;
                }
                self.declared.borrow_mut().clear();
                *self.channel.borrow_mut() = Some(channel.clone());
                channel
            }
        };
        declare_exchange(&channel, &self.settings, topic, &self.settings.exchange_kind, self.settings.durable).await?;
        self.declared.borrow_mut().insert(topic.to_owned());
        Ok(channel)
    }

    fn properties(&self, topic: &str, metadata: &Metadata) -> Properties {
        let of = |name: &str| entry(metadata, name).map(str::to_owned);
        let life = ttl(metadata).unwrap_or_else(|error| {
            log::warn(format!("rabbitmq pub/sub: publishing to {topic} failed to parse TryGetTTL: {error}, it is ignored."));
            None
        });
        let priority = metadata.iter().find(|(n, v)| n == "priority" && !v.is_empty()).and_then(|(_, v)| match v.parse::<i64>() {
            Ok(n) => Some(u8::try_from(n.clamp(0, 255)).unwrap_or(u8::MAX)),
            Err(_) => {
                log::warn(format!("rabbitmq pub/sub: publishing to {topic} failed to parse priority: priority value must be a valid integer: actual is '{v}', it is ignored."));
                None
            }
        });
        Properties {
            content_type: Some(of("contentType").unwrap_or_else(|| "text/plain".into())),
            headers: None,
            delivery_mode: (self.settings.delivery_mode > 0).then_some(self.settings.delivery_mode),
            priority: priority.filter(|p| *p > 0),
            correlation_id: of("correlationID"),
            expiration: life.or(self.settings.ttl).map(|t| t.as_millis().to_string()),
            message_id: of("messageID"),
            kind: of("type"),
        }
    }

    /// One message; what may pass is tried again.
    pub async fn one(&self, topic: &str, data: &[u8], metadata: &Metadata) -> Result<(), Error> {
        if topic.len() > 255 || topic.is_empty() {
            return Err(Error::InvalidArgument("rabbitmq pub/sub error: a topic has 1 to 255 bytes".into()));
        }
        let key = metadata.iter().find(|(n, _)| n == "routingKey").map_or("", |(_, v)| v.as_str());
        let properties = self.properties(topic, metadata);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = match self.ready(topic).await {
                Ok(channel) => channel.publish(topic, key, &properties, data).await,
                Err(failure) => Err(failure),
            };
            let error = match outcome {
                Ok(true) => return Ok(()),
                Ok(false) => Error::Other("did not receive confirmation of publishing".into()),
                Err(why) => failure(&why),
            };
            if attempt >= ATTEMPTS || matches!(error, Error::InvalidArgument(_) | Error::Denied(_)) {
                log::error(format!("rabbitmq pub/sub: publishing failed: {error:?}"));
                return Err(error);
            }
            match error {
                // The connection is made again by itself.
                Error::Unavailable(_) => drop(self.client.connected(self.settings.reconnect_wait + PAUSE).await),
                // An exchange that somebody deleted is declared again.
                _ => {
                    self.declared.borrow_mut().remove(topic);
                    proa_sdk::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
