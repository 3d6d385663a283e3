//! `pubsub.mqtt3`: topics of an MQTT 3.1.1 broker, in a session that the broker keeps.

mod settings;
mod subscriptions;

use mqtt_core::{Publish, Session};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::pubsub::{
    Error, Message, Metadata, PublishRequest, Verdict,
    bulk_publisher::{BulkPublisher, Entry},
    publisher::Publisher,
    subscriber::{SubscribeRequest, Subscriber},
};
use proa_sdk::time;
use settings::Settings;
use std::rc::Rc;
use std::time::{Duration, Instant};
use subscriptions::Subscriptions;

/// As Dapr's component.
const LIMIT: Duration = Duration::from_secs(20);

struct Mqtt {
    settings: Rc<Settings>,
    publishing: Session,
    subscriptions: Rc<Subscriptions>,
}

impl Component for Mqtt {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Rc::new(Settings::read(&config)?);
        let publishing = Session::connect(settings.publishing(), Rc::new(|_, _| {})).await;
        let publishing = publishing.map_err(|e| InitError::Unavailable(format!("failed to establish connection to broker: {e}")))?;
        Ok(Self { subscriptions: Subscriptions::new(settings.clone()), settings, publishing })
    }

    async fn close(&self) {
        for number in self.subscriptions.numbers() {
            self.subscriptions.end(number).await;
        }
        self.subscriptions.close().await;
        self.publishing.close().await;
    }
}

impl Health for Mqtt {
    async fn ping(&self) -> Result<(), String> {
        self.publishing.ping()
    }
}

/// `true` and `false` as Go reads them.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Mqtt {
    async fn one(&self, topic: &str, data: &[u8], metadata: &Metadata) -> Result<(), Error> {
        if topic.is_empty() {
            return Err(Error::InvalidArgument("topic name is empty".into()));
        }
        if topic.contains(['#', '+', '\0']) || topic.len() > 65_535 {
            return Err(Error::InvalidArgument(format!("mqtt: {topic:?} is no topic to publish to")));
        }
        let retain = match metadata.iter().find(|(n, v)| n == "retain" && !v.is_empty()) {
            Some((_, text)) => flag(text).ok_or_else(|| Error::InvalidArgument(format!("mqtt invalid retain {text}")))?,
            None => self.settings.retain,
        };
        let message = Publish { topic: topic.to_owned(), payload: data.to_vec(), qos: self.settings.qos, retain, duplicate: false, id: 0 };
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match time::timeout(left, self.publishing.publish(&message)).await {
                Some(Ok(())) => return Ok(()),
                // Again on the next connection: the broker may then have it twice.
                Some(Err(_)) => time::sleep(Duration::from_millis(20)).await,
                None => return Err(Error::Unavailable("failed to publish: context deadline exceeded".into())),
            }
        }
    }
}

impl Publisher for Mqtt {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        self.one(&request.topic, &request.data, &request.metadata).await
    }
}

impl BulkPublisher for Mqtt {
    async fn publish_bulk(&self, topic: String, entries: Vec<Entry>, metadata: Metadata) -> Result<Vec<(String, Error)>, Error> {
        let one = async |entry: Entry| {
            let both: Metadata = entry.metadata.into_iter().chain(metadata.iter().cloned()).collect();
            self.one(&topic, &entry.data, &both).await.err().map(|error| (entry.id, error))
        };
        Ok(futures::future::join_all(entries.into_iter().map(one)).await.into_iter().flatten().collect())
    }
}

impl Subscriber for Mqtt {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        let truthy = |v: &str| matches!(v.trim().to_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on");
        let told = request.metadata.iter().any(|(n, v)| n == "unsubscribeOnClose" && truthy(v));
        self.subscriptions.add(&request.topic, told).await
    }

    async fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
        self.subscriptions.receive(subscription, max as usize, Duration::from_millis(u64::from(wait_ms))).await
    }

    async fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        self.subscriptions.settle(subscription, &verdicts);
        Ok(())
    }

    async fn unsubscribe(&self, subscription: u64) -> Result<(), Error> {
        self.subscriptions.end(subscription).await;
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Mqtt: pubsub::publisher, pubsub::bulk_publisher, pubsub::subscriber, component::health
}
