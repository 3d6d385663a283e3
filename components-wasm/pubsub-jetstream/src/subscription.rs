//! One subscription: a push consumer, as Dapr makes it. The server sends ahead what `maxAckPending` allows; that bounds memory.
//!
//! A durable consumer keeps its position; where the server has forgotten a consumer (a restart, or idle for too long), it is made again
//! right behind what was settled.

use crate::api::{self, Consumer, Failure};
use crate::client::Client;
use crate::frame::{self, Delivered};
use broker_core::Inbox;
use proa_sdk::pubsub::{Error, Message, Verdict, subscriber::SubscribeRequest};
use proa_sdk::{log, time};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long an acknowledgement waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Without acknowledgements nothing else bounds what the server sends: what comes beyond is lost, as with every client.
const UNACKNOWLEDGED: usize = 65_536;
/// How long another subscriber may still hold the consumer: the one that this one replaces.
const BOUND: Duration = Duration::from_secs(5);

pub struct Subscription {
    client: Client,
    topic: String,
    stream: String,
    /// The consumer's name.
    consumer: RefCell<String>,
    sid: Cell<u64>,
    /// Messages by their number in the stream.
    inbox: Inbox<u64>,
    /// Where to acknowledge each message that is not settled, and how often it was handed out.
    replies: RefCell<BTreeMap<u64, (String, u32)>>,
    /// Messages that were refused and have not come again.
    owed: RefCell<BTreeSet<u64>>,
    /// The highest number seen.
    seen: Cell<u64>,
    overrun: Cell<bool>,
}

/// The acknowledgement of a verdict.
fn token(client: &Client, verdict: Verdict) -> String {
    match (verdict, client.settings().ack_wait) {
        (Verdict::Ack | Verdict::Drop, _) => "+ACK".into(),
        (Verdict::Retry, Some(wait)) => format!("-NAK {}", json!({ "delay": u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) })),
        (Verdict::Retry, None) => "-NAK".into(),
    }
}

impl Subscription {
    /// `position`: where a subscription without a durable name goes on, when it is the successor of another one.
    pub async fn start(client: &Client, request: SubscribeRequest, position: Option<u64>) -> Result<Rc<Self>, Error> {
        let settings = client.settings();
        let stream = match &settings.stream {
            Some(name) => name.clone(),
            None => api::stream_of(client, &request.topic).await?,
        };
        let single = settings.single || settings.consumer.get("ack_policy") == Some(&json!("all"));
        let subscription = Rc::new(Self {
            client: client.clone(),
            topic: request.topic,
            stream,
            consumer: RefCell::default(),
            sid: Cell::new(0),
            inbox: Inbox::new(single),
            replies: RefCell::default(),
            owed: RefCell::default(),
            seen: Cell::new(0),
            overrun: Cell::new(false),
        });
        let epoch = client.epoch();
        let consumer = subscription.bind(position).await?;
        subscription.listen(consumer);
        let watched = subscription.clone();
        proa_sdk::spawn(async move { watched.watch(epoch).await });
        Ok(subscription)
    }

    /// Finds the consumer, or makes it, from `start` on when that is given.
    async fn bind(&self, start: Option<u64>) -> Result<Consumer, Error> {
        if let Some(name) = &self.client.settings().durable
            && let Some(found) = self.durable(name).await?
        {
            return Ok(found);
        }
        let made = api::create_consumer(&self.client, &self.stream, self.config(start)).await?.map_err(Failure::into_error)?;
        self.seen.set(self.seen.get().max(made.delivered.stream_seq));
        Ok(made)
    }

    /// The durable consumer, brought up to the configuration.
    async fn durable(&self, name: &str) -> Result<Option<Consumer>, Error> {
        let settings = self.client.settings();
        let begun = Instant::now();
        let (found, other) = loop {
            let found = match api::consumer(&self.client, &self.stream, name).await? {
                Ok(found) => found,
                Err(failure) if failure.is_not_found() => return Ok(None),
                Err(failure) => return Err(failure.into_error()),
            };
            let other = found.text("filter_subject").is_some_and(|subject| subject != self.topic)
                || found.text("deliver_group") != settings.queue_group.as_deref();
            if other || !found.push_bound || settings.queue_group.is_some() {
                break (found, other);
            }
            if begun.elapsed() > BOUND {
                return Err(Error::Unavailable("nats: consumer is already bound to a subscription".into()));
            }
            time::sleep(Duration::from_millis(50)).await;
        };
        let Some(subject) = found.text("deliver_subject").filter(|_| !other) else {
            let stream = &self.stream;
            return Err(Error::InvalidArgument(format!("nats: consumer name already in use: creating consumer {name:?} on stream {stream:?}")));
        };
        if settings.consumer.iter().all(|(field, value)| found.config.get(field) == Some(value)) {
            return Ok(Some(found));
        }
        let mut config = self.config(None);
        if let Some(config) = config.as_object_mut() {
            config.insert("deliver_subject".into(), json!(subject));
        }
        // What cannot be changed, the server refuses, and says what it is.
        api::create_consumer(&self.client, &self.stream, config).await?.map(Some).map_err(Failure::into_error)
    }

    fn config(&self, start: Option<u64>) -> Value {
        let settings = self.client.settings();
        let mut config = settings.consumer.clone();
        config.insert("deliver_subject".into(), json!(self.client.inbox()));
        config.insert("filter_subject".into(), json!(self.topic));
        if let Some(name) = &settings.durable {
            config.insert("durable_name".into(), json!(name));
        }
        if let Some(group) = &settings.queue_group {
            config.insert("deliver_group".into(), json!(group));
        }
        if let Some(start) = start {
            config.insert("deliver_policy".into(), json!("by_start_sequence"));
            config.insert("opt_start_seq".into(), json!(start));
            config.remove("opt_start_time");
        }
        Value::Object(config)
    }

    fn listen(self: &Rc<Self>, consumer: Consumer) {
        let (subject, group) = (consumer.text("deliver_subject").unwrap_or_default().to_owned(), consumer.text("deliver_group").map(str::to_owned));
        *self.consumer.borrow_mut() = consumer.name;
        let weak = Rc::downgrade(self);
        let sink = Rc::new(move |message: Delivered| {
            if let Some(subscription) = weak.upgrade() {
                subscription.take_in(message);
            }
        });
        self.sid.set(self.client.listen(subject, group, sink));
    }

    /// After each reconnect: is the consumer still there?
    async fn watch(self: Rc<Self>, mut epoch: u64) {
        while self.client.reconnected(epoch).await && !self.inbox.is_ended() {
            epoch = self.client.epoch();
            if let Err(error) = self.look_again().await {
                log::warn(format!("jetstream: cannot look for the consumer of {}: {error:?}", self.topic));
                // The same connection again, after a pause.
                epoch = epoch.saturating_sub(1);
                time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn look_again(self: &Rc<Self>) -> Result<(), Error> {
        let name = self.consumer.borrow().clone();
        match api::consumer(&self.client, &self.stream, &name).await? {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_not_found() => {
                let start = self.position();
                self.client.unlisten(self.sid.get());
                log::warn(format!("jetstream: the server has lost the consumer of {}; it is made anew", self.topic));
                let consumer = self.bind(start).await?;
                self.listen(consumer);
                Ok(())
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// Right behind what is settled without a gap; none when nothing was seen.
    pub fn position(&self) -> Option<u64> {
        let lowest = self.inbox.unsettled().into_iter().chain(self.owed.borrow().first().copied()).min();
        (self.seen.get() > 0).then(|| lowest.unwrap_or(self.seen.get() + 1))
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    fn take_in(&self, message: Delivered) {
        if message.status() == Some(100) {
            // Flow control, and heartbeats that say that one was lost, want an answer.
            let stalled = message.header("Nats-Consumer-Stalled").map(str::to_owned);
            if let Some(subject) = message.reply.or(stalled) {
                let _ = self.client.send(&subject, b"");
            }
            return;
        }
        let Some((place, reply)) = message.reply.as_deref().and_then(|r| Some((frame::place(r)?, r.to_owned()))) else {
            log::error("jetstream: nats: not a jetstream message");
            return;
        };
        let acks = self.client.settings().acks;
        if self.inbox.is_ended() {
            if acks {
                let _ = self.client.send(&reply, b"-NAK");
            }
            return;
        }
        self.seen.set(self.seen.get().max(place.sequence));
        self.owed.borrow_mut().remove(&place.sequence);
        let known = self.replies.borrow_mut().insert(place.sequence, (reply, place.delivered)).is_some();
        // The server's patience ended while the message waits here or is with the application: that one counts.
        if known && self.inbox.holds(&place.sequence) {
            return;
        }
        if !acks && self.inbox.waiting() >= UNACKNOWLEDGED {
            self.replies.borrow_mut().remove(&place.sequence);
            if !self.overrun.replace(true) {
                log::error(format!("jetstream: nats: slow consumer, messages dropped on {}", self.topic));
            }
            return;
        }
        let handed = Message {
            id: String::new(),
            topic: self.topic.clone(),
            data: message.payload,
            content_type: None,
            metadata: vec![("Topic".into(), message.subject)],
            lane: self.client.settings().single.then(String::new),
            redeliveries: place.delivered.saturating_sub(1),
        };
        let _ = self.inbox.put(handed, place.sequence);
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Message> {
        self.inbox.receive(max, wait).await
    }

    /// The answer to one message. A connection that is away is waited for a while; an acknowledgement that is lost in spite of that makes the
    /// server send the message again.
    async fn answer(&self, sequence: u64, token: &str) -> Result<(), Error> {
        let Some((reply, delivered)) = self.replies.borrow_mut().remove(&sequence) else { return Ok(()) };
        if token.starts_with("-NAK") && self.client.settings().deliveries().is_none_or(|most| u64::from(delivered) < most) {
            self.owed.borrow_mut().insert(sequence);
        }
        if !self.client.settings().acks || self.client.send(&reply, token.as_bytes()).is_ok() {
            return Ok(());
        }
        time::timeout(PATIENCE, self.client.reconnected(0)).await;
        self.client.send(&reply, token.as_bytes()).map_err(|_| Error::Unavailable("nats: connection closed".into()))
    }

    pub async fn settle(&self, verdicts: &[(String, Verdict)]) -> Result<(), Error> {
        for (id, verdict) in verdicts {
            if let Some(sequence) = self.inbox.settle(id) {
                self.answer(sequence, &token(&self.client, *verdict)).await?;
            }
        }
        Ok(())
    }

    pub fn is_ended(&self) -> bool {
        self.inbox.is_ended()
    }

    /// Hears no more, and gives back what waits here. Verdicts on what the application has still come: the host waits for them.
    pub async fn end(&self) {
        if self.inbox.is_ended() {
            return;
        }
        let waiting = self.inbox.end();
        self.client.unlisten(self.sid.get());
        self.give_back(waiting).await;
    }

    /// The instance ends: nobody will answer what is out.
    pub async fn abandon(&self) {
        self.end().await;
        self.give_back(self.inbox.abandon()).await;
        if self.client.settings().durable.is_none() {
            let name = self.consumer.borrow().clone();
            let _ = time::timeout(Duration::from_secs(1), api::delete_consumer(&self.client, &self.stream, &name)).await;
        }
    }

    async fn give_back(&self, sequences: Vec<u64>) {
        for sequence in sequences {
            if self.answer(sequence, "-NAK").await.is_err() {
                // No connection: the server sends them again once its patience ends.
                return;
            }
        }
    }
}
