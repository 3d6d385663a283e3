//! `pubsub.in-memory`: hands each published message to the subscriptions of the same instance, in order, once.
//! A refused message is forgotten; a queue that is full holds its publishers up, for half a minute at most. Waiting messages
//! survive a swap through `snapshot` and end with the sidecar.

mod bus;
mod queue;
mod saved;

use bus::Bus;
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use proa_sdk::pubsub::{
    Error, Message, PublishRequest, Verdict,
    publisher::Publisher,
    subscriber::{SubscribeRequest, Subscriber},
};
use queue::{Entry, Payload};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

/// How long a publisher waits for room in a full queue.
const PATIENCE: Duration = Duration::from_secs(30);

struct Memory {
    bus: RefCell<Bus>,
    closed: Cell<bool>,
}

impl Component for Memory {
    async fn init(_config: Config) -> Result<Self, InitError> {
        Ok(Self { bus: RefCell::new(Bus::default()), closed: Cell::new(false) })
    }
    async fn close(&self) {
        self.closed.set(true);
    }
}

impl Health for Memory {
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Memory {
    fn open(&self) -> Result<(), Error> {
        if self.closed.get() { Err(Error::Unavailable("component is closed".into())) } else { Ok(()) }
    }

    /// Waits until a queue takes the message, or is gone.
    async fn deliver(&self, queue: u64, payload: &Rc<Payload>) -> Result<(), Error> {
        if self.bus.borrow_mut().offer(queue, payload) {
            return Ok(());
        }
        let room = poll_fn(|cx| {
            let mut bus = self.bus.borrow_mut();
            if bus.offer(queue, payload) {
                return Poll::Ready(());
            }
            bus.wait_for_room(queue, cx.waker());
            Poll::Pending
        });
        proa_sdk::time::timeout(PATIENCE, room).await.ok_or_else(|| Error::Unavailable("the queue of a subscriber is full and does not drain".into()))
    }
}

impl Publisher for Memory {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        self.open()?;
        let targets = self.bus.borrow_mut().targets(&request.topic, Instant::now);
        if targets.is_empty() {
            return Ok(());
        }
        let payload = Rc::new(Payload { data: request.data, metadata: request.metadata });
        for queue in targets {
            self.deliver(queue, &payload).await?;
        }
        Ok(())
    }
}

fn message(topic: &str, id: u64, entry: &Entry) -> Message {
    Message {
        id: id.to_string(),
        // The topic of the subscription, which may hold a wildcard: the runtime finds its routes by it.
        topic: topic.to_owned(),
        data: entry.payload.data.clone(),
        content_type: None,
        metadata: entry.payload.metadata.clone(),
        lane: Some(String::new()),
        redeliveries: entry.redeliveries,
    }
}

impl Subscriber for Memory {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        self.open()?;
        Ok(self.bus.borrow_mut().subscribe(&request.topic, Instant::now()))
    }

    async fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
        let unknown = || Error::NotFound(format!("no subscription {subscription}"));
        let first = self.bus.borrow_mut().take(subscription, max, message).ok_or_else(unknown)?;
        if !first.is_empty() || wait_ms == 0 {
            return Ok(first);
        }
        let arrival = poll_fn(|cx| {
            let mut bus = self.bus.borrow_mut();
            match bus.take(subscription, max, message) {
                // Unsubscribed meanwhile: nothing will come any more.
                None => Poll::Ready(Vec::new()),
                Some(messages) if !messages.is_empty() => Poll::Ready(messages),
                Some(_) => {
                    bus.wait_for_message(subscription, cx.waker());
                    Poll::Pending
                }
            }
        });
        Ok(proa_sdk::time::timeout(Duration::from_millis(wait_ms.into()), arrival).await.unwrap_or_default())
    }

    async fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        // Whatever the verdict, the message is forgotten: this broker never hands one out twice.
        let ids = verdicts.iter().filter_map(|(id, _)| id.parse().ok());
        self.bus.borrow_mut().forget(subscription, ids);
        Ok(())
    }

    async fn unsubscribe(&self, subscription: u64) -> Result<(), Error> {
        self.bus.borrow_mut().unsubscribe(subscription, Instant::now());
        Ok(())
    }
}

impl Snapshot for Memory {
    async fn save(&self) -> Result<Vec<u8>, String> {
        Ok(saved::write(&self.bus.borrow()))
    }
    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        let queues = saved::read(&data).ok_or("not a snapshot of this component")?;
        self.bus.borrow_mut().restore(queues, Instant::now());
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Memory: pubsub::publisher, pubsub::subscriber, component::health, component::snapshot
}
