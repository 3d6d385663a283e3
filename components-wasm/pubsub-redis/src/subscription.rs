//! One subscription: what was read ahead, who waits for it, and what is out with the application.
//! Receives never touch the network: the feeder and the reclaimer fill the buffer.

mod feeder;
mod reclaimer;

use crate::failure;
use crate::message::{Stored, entry_id, message_id};
use crate::stream::Stream;
use broker_core::Waiters;
use proa_sdk::pubsub::{Error, Message, Verdict, subscriber::SubscribeRequest};
use proa_sdk::time;
use redis_core::Client;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A subscription that nobody has asked for so long gives back what it holds.
const PATIENCE: Duration = Duration::from_millis(700);

/// How many messages may be out at a time, all subscriptions of the instance together (`concurrency`).
pub struct Handouts {
    limit: usize,
    out: Cell<usize>,
    subscriptions: RefCell<Vec<Weak<Subscription>>>,
}

impl Handouts {
    pub fn new(limit: usize) -> Self {
        Self { limit, out: Cell::new(0), subscriptions: RefCell::default() }
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.out.get())
    }

    fn returned(&self, count: usize) {
        if count == 0 {
            return;
        }
        let was_full = self.free() == 0;
        self.out.set(self.out.get().saturating_sub(count));
        if was_full {
            for subscription in self.subscriptions.borrow().iter().filter_map(Weak::upgrade) {
                subscription.receivers.wake();
            }
        }
    }
}

pub struct Subscription {
    stream: Stream,
    /// How many messages may wait in the buffer.
    capacity: usize,
    buffer: RefCell<VecDeque<Stored>>,
    /// Messages with the application, and since when.
    out: RefCell<HashMap<String, Instant>>,
    handouts: Rc<Handouts>,
    receiving: Cell<u32>,
    asked: Cell<Instant>,
    ending: Cell<bool>,
    /// Tasks of this subscription that still run.
    running: Cell<u32>,
    receivers: Waiters,
    /// The two tasks, and who waits for their end.
    tasks: Waiters,
    /// The feeder's connection, by the server's number.
    blocked: Cell<Option<i64>>,
}

impl Subscription {
    pub async fn start(client: &Client, consumer: &Rc<str>, handouts: &Rc<Handouts>, request: SubscribeRequest) -> Result<Rc<Self>, Error> {
        let settings = &client.settings().pubsub;
        let stream = Stream { client: client.clone(), topic: request.topic, group: settings.consumer_id.clone(), consumer: consumer.clone() };
        stream.create_group().await.map_err(|e| failure("error creating the consumer group", e))?;
        let connection = client.dedicated(stream.topic.as_bytes()).await.map_err(|e| failure("error subscribing", e))?;
        let wanted = (request.window as usize).max(settings.concurrency);
        let subscription = Rc::new(Self {
            stream,
            capacity: settings.queue_depth.min(wanted).max(1),
            buffer: RefCell::default(),
            out: RefCell::default(),
            handouts: handouts.clone(),
            receiving: Cell::new(0),
            asked: Cell::new(Instant::now()),
            ending: Cell::new(false),
            running: Cell::new(2),
            receivers: Waiters::default(),
            tasks: Waiters::default(),
            blocked: Cell::new(None),
        });
        handouts.subscriptions.borrow_mut().push(Rc::downgrade(&subscription));
        let (feeder, reclaimer) = (subscription.clone(), subscription.clone());
        proa_sdk::spawn(async move {
            feeder::run(&feeder, connection).await;
            feeder.task_ended();
        });
        proa_sdk::spawn(async move {
            reclaimer::run(&reclaimer).await;
            reclaimer.task_ended();
        });
        Ok(subscription)
    }

    /// Up to `max` messages, as many as may be out; waits for the first.
    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Message> {
        let resting = self.receiving.replace(self.receiving.get() + 1) == 0 && self.asked.get().elapsed() > PATIENCE;
        self.asked.set(Instant::now());
        if resting {
            self.tasks.wake();
        }
        let mut taken = self.take(max);
        if taken.is_empty() && !wait.is_zero() {
            let something = || self.ending.get() || (self.handouts.free() > 0 && !self.buffer.borrow().is_empty());
            time::timeout(wait, self.receivers.until(something)).await;
            taken = self.take(max);
        }
        self.receiving.set(self.receiving.get().saturating_sub(1));
        self.asked.set(Instant::now());
        taken
    }

    fn take(&self, max: usize) -> Vec<Message> {
        let count = max.min(self.handouts.free());
        let mut buffer = self.buffer.borrow_mut();
        let count = count.min(buffer.len());
        if count == 0 || self.ending.get() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut out = self.out.borrow_mut();
        let hand_out = |entry: Stored| {
            let id = message_id(&entry.id, entry.redeliveries);
            out.insert(id.clone(), now);
            Message {
                id,
                topic: self.stream.topic.clone(),
                data: entry.data,
                content_type: None,
                metadata: entry.metadata,
                lane: None,
                redeliveries: entry.redeliveries,
            }
        };
        let messages: Vec<_> = buffer.drain(..count).map(hand_out).collect();
        self.handouts.out.set(self.handouts.out.get() + messages.len());
        let low = buffer.len() <= self.capacity / 2;
        drop(buffer);
        if low {
            self.tasks.wake();
        }
        messages
    }

    pub async fn settle(&self, verdicts: &[(String, Verdict)]) -> Result<(), Error> {
        let known = {
            let mut out = self.out.borrow_mut();
            verdicts.iter().filter(|(id, _)| out.remove(id).is_some()).count()
        };
        // Left pending: the group hands it out again once processingTimeout has passed.
        let done: Vec<&str> = verdicts.iter().filter(|(_, v)| !matches!(v, Verdict::Retry)).filter_map(|(id, _)| entry_id(id)).collect();
        let outcome = self.stream.ack(&done).await;
        self.handouts.returned(known);
        outcome.map_err(|e| failure("error acknowledging", e))
    }

    /// Stops reading and gives back what was not handed out. Messages that are out stay pending.
    pub async fn end(&self) {
        if self.ending.replace(true) {
            return;
        }
        self.tasks.wake();
        self.receivers.wake();
        if let Some(id) = self.blocked.get() {
            let unblock = redis_core::Command::new("CLIENT").arg("UNBLOCK").int(id);
            // Refused or too late, the read ends by itself a moment later.
            let _ = self.stream.client.call(&unblock).await;
        }
        time::timeout(Duration::from_secs(10), self.tasks.until(|| self.running.get() == 0)).await;
        self.give_back().await;
        self.handouts.returned(self.out.take().len());
        if let Err(error) = self.stream.leave().await {
            proa_sdk::log::debug(format!("redis streams: error leaving group of {}: {error}", self.stream.topic));
        }
    }

    fn task_ended(&self) {
        self.running.set(self.running.get().saturating_sub(1));
        self.tasks.wake();
    }

    /// Whether the host asks for messages.
    fn is_asked(&self) -> bool {
        self.receiving.get() > 0 || self.asked.get().elapsed() < PATIENCE
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.buffer.borrow().len())
    }

    fn put(&self, entries: impl IntoIterator<Item = Stored>) {
        self.buffer.borrow_mut().extend(entries);
        self.receivers.wake();
    }

    /// How idle a message must be to be taken from another consumer, and how idle those look that are given back.
    fn idle_limit(&self) -> Duration {
        self.stream.client.settings().pubsub.processing_timeout.max(Duration::from_secs(1))
    }

    async fn give_back(&self) {
        let entries: Vec<Stored> = self.buffer.take().into();
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.stream.give_back(&entries, self.idle_limit()).await {
            // They stay pending with this consumer, and come again after processingTimeout.
            proa_sdk::log::warn(format!("redis streams: error giving back messages of {}: {error}", self.stream.topic));
        }
    }
}
