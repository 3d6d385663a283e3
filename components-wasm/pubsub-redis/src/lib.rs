//! `pubsub.redis`: topics are Redis streams, subscribers are consumer groups; entries look as Dapr writes them.
//!
//! A subscription reads ahead on a connection of its own and takes over what others in the group left unsettled. What it has read and
//! not handed out goes back to the group when it ends or is no longer asked, where the next reader finds it within a second or two:
//! see the README for how that makes a swap lossless.

mod message;
mod publish;
mod stream;
mod subscription;

use broker_core::Table;
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::pubsub::{
    Error, Message, Metadata, PublishRequest, Verdict,
    bulk_publisher::{BulkPublisher, Entry},
    publisher::Publisher,
    subscriber::{SubscribeRequest, Subscriber},
};
use redis_core::{Client, Family, Settings};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Duration;
use subscription::{Handouts, Subscription};

struct Redis {
    client: Client,
    /// This instance's name within each group.
    consumer: Rc<str>,
    subscriptions: Table<Subscription>,
    handouts: Rc<Handouts>,
}

/// How a failure of the client looks to the host.
fn failure(context: &str, error: redis_core::Error) -> Error {
    let text = format!("redis streams: {context}: {error}");
    if error.is_unavailable() { Error::Unavailable(text) } else { Error::Other(text) }
}

impl Component for Redis {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&config, Family::PubSub)?;
        let host = settings.host.clone();
        let away = |e: redis_core::Error| InitError::Unavailable(format!("redis streams: error connecting to redis at {host}: {e}"));
        if settings.pubsub.max_len_approx.is_some() && settings.pubsub.stream_ttl.is_some() {
            proa_sdk::log::warn("redis streams: maxLenApprox and streamTTL exclude each other; streamTTL has no effect");
        }
        let consumer = format!("{}-{:08x}", settings.pubsub.consumer_id, RandomState::new().hash_one(0u8) as u32).into();
        let concurrency = settings.pubsub.concurrency;
        let client = Client::connect(settings).await.map_err(away)?;
        client.ping().await.map_err(away)?;
        Ok(Self { client, consumer, subscriptions: Table::default(), handouts: Rc::new(Handouts::new(concurrency)) })
    }

    async fn close(&self) {
        for subscription in self.subscriptions.take() {
            subscription.end().await;
        }
        self.client.close().await;
    }
}

impl Health for Redis {
    async fn ping(&self) -> Result<(), String> {
        self.client.ping().await.map_err(|e| format!("redis pubsub: error connecting to redis at {}: {e}", self.client.settings().host))
    }
}

impl Publisher for Redis {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        publish::one(&self.client, &request).await
    }
}

impl BulkPublisher for Redis {
    async fn publish_bulk(&self, topic: String, entries: Vec<Entry>, _metadata: Metadata) -> Result<Vec<(String, Error)>, Error> {
        publish::many(&self.client, &topic, &entries).await
    }
}

impl Subscriber for Redis {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        let subscription = Subscription::start(&self.client, &self.consumer, &self.handouts, request).await?;
        Ok(self.subscriptions.add(subscription))
    }

    async fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
        let subscription = self.subscriptions.known(subscription)?;
        Ok(subscription.receive(max as usize, Duration::from_millis(u64::from(wait_ms))).await)
    }

    async fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        match self.subscriptions.get(subscription) {
            Some(subscription) => subscription.settle(&verdicts).await,
            None => Ok(()),
        }
    }

    async fn unsubscribe(&self, subscription: u64) -> Result<(), Error> {
        // It stays in the table: a verdict that comes late is still good.
        if let Some(subscription) = self.subscriptions.get(subscription) {
            subscription.end().await;
        }
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Redis: pubsub::publisher, pubsub::bulk_publisher, pubsub::subscriber, component::health
}
