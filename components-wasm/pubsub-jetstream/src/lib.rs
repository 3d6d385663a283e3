//! `pubsub.jetstream`: subjects of NATS streams, delivered by push consumers as Dapr makes them.
//!
//! Publishing waits for the stream's acknowledgement and is repeated over a lost connection, which the event's id makes harmless.

mod api;
mod client;
mod frame;
mod seed;
mod settings;
mod subscription;

use api::Failure;
use broker_core::{Table, Turns};
use client::Client;
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use proa_sdk::log;
use proa_sdk::pubsub::{
    Error, Message, Metadata, PublishRequest, Verdict,
    bulk_publisher::{BulkPublisher, Entry},
    publisher::Publisher,
    subscriber::{SubscribeRequest, Subscriber},
};
use serde::Deserialize;
use settings::Settings;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use subscription::Subscription;

/// For how long the place of a subscription that has ended is of use to a successor.
const HANDOVER: Duration = Duration::from_secs(60);

struct JetStream {
    client: Client,
    subscriptions: Table<Subscription>,
    /// Two that subscribe at a time would both find no durable consumer, and make the same one.
    subscribing: Turns,
    /// Where the subscriptions of the generation before were.
    inherited: RefCell<HashMap<String, u64>>,
    /// Where those were that have ended, and when that was.
    left: RefCell<HashMap<String, (u64, Instant)>>,
}

#[derive(Deserialize)]
struct Taken {
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
}

impl Component for JetStream {
    async fn init(config: Config) -> Result<Self, InitError> {
        let client = Client::connect(Settings::read(&config)?).await.map_err(InitError::Unavailable)?;
        let (inherited, left) = (RefCell::default(), RefCell::default());
        Ok(Self { client, subscriptions: Table::default(), subscribing: Turns::default(), inherited, left })
    }

    async fn close(&self) {
        for subscription in self.subscriptions.take() {
            subscription.abandon().await;
        }
        self.client.close().await;
    }
}

impl Health for JetStream {
    async fn ping(&self) -> Result<(), String> {
        self.client.flush().await
    }
}

impl JetStream {
    async fn publish_one(&self, topic: &str, data: &[u8]) -> Result<(), Error> {
        if topic.is_empty() || topic.contains([' ', '\t', '\r', '\n']) {
            return Err(Error::InvalidArgument("nats: invalid subject".into()));
        }
        // A carriage return in an id would end the header.
        let id = serde_json::from_slice::<Event<'_>>(data).ok().and_then(|e| e.id).filter(|id| !id.is_empty() && !id.contains(['\r', '\n']));
        if id.is_none() {
            log::warn("empty message ID, Jetstream deduplication will not be possible");
        }
        let headers = id.map(|id| format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n"));
        let taken = api::call::<Taken>(&self.client, topic, headers.as_deref(), data).await?.map_err(Failure::into_error)?;
        if taken.duplicate {
            // Also how a repeated attempt ends well; and what becomes of a dead letter in the stream that its event came from.
            log::info(format!("jetstream: the stream of {topic} has an event of this id already"));
        }
        Ok(())
    }
}

impl Publisher for JetStream {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        self.publish_one(&request.topic, &request.data).await
    }
}

impl BulkPublisher for JetStream {
    async fn publish_bulk(&self, topic: String, entries: Vec<Entry>, _metadata: Metadata) -> Result<Vec<(String, Error)>, Error> {
        // All leave at once and in order; the answers are awaited together.
        let all = entries.iter().map(|e| async { self.publish_one(&topic, &e.data).await.err().map(|error| (e.id.clone(), error)) });
        Ok(futures::future::join_all(all).await.into_iter().flatten().collect())
    }
}

impl Subscriber for JetStream {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        let _turn = self.subscribing.next().await;
        self.left.borrow_mut().remove(&request.topic);
        let position = self.inherited.borrow().get(&request.topic).copied();
        let topic = request.topic.clone();
        let subscription = Subscription::start(&self.client, request, position).await?;
        self.inherited.borrow_mut().remove(&topic);
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
        let Some(ending) = self.subscriptions.get(subscription) else { return Ok(()) };
        if ending.is_ended() {
            // Said again: nothing is out any more.
            self.subscriptions.remove(subscription);
            if let Some(position) = ending.position() {
                self.left.borrow_mut().insert(ending.topic().to_owned(), (position, Instant::now()));
            }
            ending.abandon().await;
        } else {
            // It stays in the table: verdicts on what is out still come.
            ending.end().await;
        }
        Ok(())
    }
}

impl Snapshot for JetStream {
    /// A consumer without a durable name goes with its subscription: its successor begins where this one was. One line a topic.
    async fn save(&self) -> Result<Vec<u8>, String> {
        if self.client.settings().durable.is_some() {
            return Ok(Vec::new());
        }
        let mut places = self.inherited.take();
        places.extend(
            self.left.borrow().iter().filter(|(_, (_, since))| since.elapsed() < HANDOVER).map(|(topic, (place, _))| (topic.clone(), *place)),
        );
        places.extend(self.subscriptions.list().iter().filter_map(|(_, s)| Some((s.topic().to_owned(), s.position()?))));
        Ok(places.iter().flat_map(|(topic, place)| format!("{place} {topic}\n").into_bytes()).collect())
    }

    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8(data).map_err(|_| "not a snapshot of this component")?;
        // Where one can go on from depends on nothing but the stream. A durable consumer knows its place.
        let places = text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(place, topic)| Some((topic.to_owned(), place.parse().ok()?)));
        *self.inherited.borrow_mut() = places.collect();
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    JetStream: pubsub::publisher, pubsub::bulk_publisher, pubsub::subscriber, component::health, component::snapshot
}
