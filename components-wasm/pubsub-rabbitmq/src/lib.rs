//! `pubsub.rabbitmq`: topics are exchanges, subscribers are queues; both are declared as Dapr declares them.
//!
//! One connection for all; publishing has a channel of its own, and so has each subscription, so that a refusal ends only what it is about.

mod hold;
mod publish;
mod queue;
mod settings;
mod subscription;

use amqp_core::Client;
use broker_core::Table;
use hold::Held;
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::pubsub::{
    Error, Message, Metadata, PublishRequest, Verdict,
    bulk_publisher::{BulkPublisher, Entry},
    publisher::Publisher,
    subscriber::{SubscribeRequest, Subscriber},
};
use publish::Publishing;
use settings::Settings;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use subscription::Subscription;

struct RabbitMq {
    client: Client,
    settings: Rc<Settings>,
    publishing: Publishing,
    subscriptions: Table<Subscription>,
    /// Queues that wait for a successor's consumer.
    held: RefCell<Vec<Held>>,
}

impl Component for RabbitMq {
    async fn init(config: Config) -> Result<Self, InitError> {
        let (settings, dial) = Settings::read(&config)?;
        let settings = Rc::new(settings);
        let client = Client::connect(dial, settings.reconnect_wait).await.map_err(InitError::Unavailable)?;
        let publishing = Publishing::new(client.clone(), settings.clone());
        Ok(Self { client, settings, publishing, subscriptions: Table::default(), held: RefCell::default() })
    }

    async fn close(&self) {
        for subscription in self.subscriptions.take() {
            let held = subscription.abandon().await;
            self.held.borrow_mut().extend(held);
        }
        // A queue that lives by its consumers must have the successor's when the connection ends.
        let held = self.held.take();
        futures::future::join_all(held.iter().map(Held::handed_over)).await;
        self.client.close().await;
    }
}

impl Health for RabbitMq {
    async fn ping(&self) -> Result<(), String> {
        self.client.ping()
    }
}

impl Publisher for RabbitMq {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        self.publishing.one(&request.topic, &request.data, &request.metadata).await
    }
}

impl BulkPublisher for RabbitMq {
    async fn publish_bulk(&self, topic: String, entries: Vec<Entry>, metadata: Metadata) -> Result<Vec<(String, Error)>, Error> {
        // All leave in order, and their confirms are awaited together.
        let one = async |entry: Entry| {
            let both: Metadata = entry.metadata.into_iter().chain(metadata.iter().cloned()).collect();
            self.publishing.one(&topic, &entry.data, &both).await.err().map(|error| (entry.id, error))
        };
        Ok(futures::future::join_all(entries.into_iter().map(one)).await.into_iter().flatten().collect())
    }
}

impl Subscriber for RabbitMq {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        let subscription = Subscription::start(&self.client, &self.settings, request).await?;
        Ok(self.subscriptions.add(subscription))
    }

    async fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
        let subscription = self.subscriptions.known(subscription)?;
        Ok(subscription.receive(max as usize, Duration::from_millis(u64::from(wait_ms))).await)
    }

    async fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        if let Some(subscription) = self.subscriptions.get(subscription) {
            subscription.settle(&verdicts);
        }
        Ok(())
    }

    async fn unsubscribe(&self, subscription: u64) -> Result<(), Error> {
        let Some(ending) = self.subscriptions.get(subscription) else { return Ok(()) };
        if ending.is_ended() {
            // Said again: nothing is out any more.
            self.subscriptions.remove(subscription);
            ending.abandon().await;
        } else {
            // It stays in the table: verdicts on what is out still come.
            let held = ending.end().await;
            let mut all = self.held.borrow_mut();
            all.retain(|held| !held.is_over());
            all.extend(held);
        }
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    RabbitMq: pubsub::publisher, pubsub::bulk_publisher, pubsub::subscriber, component::health
}
