//! The input: a session that the broker keeps. A message is acknowledged when the application has handled it.
//!
//! The broker hands a message out again only to a new connection. One that the application failed rests here, and is handed out again as
//! often as the configuration says; then it is left unacknowledged.

use crate::settings::Settings;
use broker_core::Inbox;
use mqtt_core::{Lost, Publish, Session};
use proa_sdk::bindings::{Error, Event, Verdict};
use proa_sdk::pubsub::Message;
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long the broker may take, as in Dapr's component.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a failed event rests.
const REST: Duration = Duration::from_secs(5);
/// How long an event that is with the application may hold up the end.
const PATIENCE: Duration = Duration::from_secs(5);
const QOS: u8 = 1;

/// A message that is not settled; compared by place, for ids of packets come again.
struct Key {
    message: Publish,
    epoch: u64,
    failed: Cell<u32>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

pub struct Reading {
    settings: Rc<Settings>,
    inbox: Inbox<Rc<Key>>,
    session: RefCell<Option<Session>>,
    started: Cell<bool>,
}

fn message(key: &Key) -> Message {
    let (topic, data) = (key.message.topic.clone(), key.message.payload.clone());
    Message { id: String::new(), topic, data, content_type: None, metadata: Vec::new(), lane: None, redeliveries: key.failed.get() }
}

impl Reading {
    pub fn new(settings: Rc<Settings>) -> Rc<Self> {
        Rc::new(Self { settings, inbox: Inbox::new(false), session: RefCell::default(), started: Cell::new(false) })
    }

    pub fn ping(&self) -> Result<(), String> {
        self.session.borrow().as_ref().map_or(Ok(()), Session::ping)
    }

    pub async fn start(self: &Rc<Self>) -> Result<(), Error> {
        if self.started.replace(true) {
            return Ok(());
        }
        let begun = self.begin().await;
        self.started.set(begun.is_ok());
        begun
    }

    async fn begin(self: &Rc<Self>) -> Result<(), Error> {
        let weak = Rc::downgrade(self);
        let sink = Rc::new(move |message: Publish, epoch| {
            if let Some(reading) = weak.upgrade() {
                reading.take_in(message, epoch);
            }
        });
        let session = Session::connect(self.settings.dial.clone(), sink).await;
        let session = session.map_err(|e| Error::Unavailable(format!("failed to connect: {e}")))?;
        let error = match time::timeout(LIMIT, session.subscribe(&self.settings.topic, QOS)).await {
            Some(Ok(Ok(()))) => {
                log::info(format!("Subscribing to topic {} (qos: {QOS})", self.settings.topic));
                *self.session.borrow_mut() = Some(session);
                return Ok(());
            }
            Some(Ok(Err(text))) => Error::Other(text),
            Some(Err(Lost)) => Error::Unavailable("connection lost before Subscribe completed".into()),
            None => Error::Unavailable("timed out waiting for subscription to complete".into()),
        };
        session.close().await;
        Err(error)
    }

    fn take_in(&self, arrived: Publish, epoch: u64) {
        let key = Rc::new(Key { message: arrived, epoch, failed: Cell::new(0) });
        // After the end it stays unacknowledged, and comes to the session's next connection.
        let _ = self.inbox.put(message(&key), key.clone());
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Event> {
        let event = |m: Message| Event { id: m.id, data: m.data, content_type: None, metadata: vec![("topic".into(), m.topic)], lane: None };
        self.inbox.receive(max, wait).await.into_iter().map(event).collect()
    }

    pub fn settle(self: &Rc<Self>, verdicts: &[(String, Verdict)]) {
        for (id, verdict) in verdicts {
            let Some(key) = self.inbox.settle(id) else { continue };
            match verdict {
                Verdict::Handled(_) => {
                    // Too late, and the broker sends it again.
                    let _ = self.session.borrow().as_ref().map(|s| s.acknowledge(key.message.id, key.message.qos, key.epoch));
                }
                Verdict::Failed(why) => self.failed(key, why),
            }
        }
    }

    fn failed(self: &Rc<Self>, key: Rc<Key>, why: &str) {
        let (topic, number) = (&key.message.topic, key.message.id);
        if self.settings.retries.is_some_and(|most| key.failed.get() >= most) {
            log::error(format!("Failed processing MQTT message: {topic}/{number}: {why}"));
            return;
        }
        log::error(format!("Error processing MQTT message: {topic}/{number}. Retrying…"));
        key.failed.set(key.failed.get() + 1);
        let reading = self.clone();
        proa_sdk::spawn(async move {
            time::sleep(REST).await;
            // A message of an earlier connection comes from the broker.
            let current = reading.session.borrow().as_ref().is_some_and(|s| s.epoch() == key.epoch);
            if key.message.qos == 0 || current {
                let _ = reading.inbox.put(message(&key), key.clone());
            }
        });
    }

    /// Hands out no more. What waits here stays unacknowledged, for the session's next connection. What is with the application can still
    /// be settled: the host may do so behind this.
    pub fn stop(&self) {
        self.inbox.end();
        if let Some(session) = &*self.session.borrow() {
            // A successor takes the client id over from here on.
            session.rest();
        }
    }

    pub async fn close(&self) {
        self.stop();
        self.inbox.answered(PATIENCE).await;
        let session = self.session.borrow_mut().take();
        if let Some(session) = session {
            session.close().await;
        }
    }
}
