//! The session of all subscriptions. It begins with the first one and ends with the last one, so that a successor can have its client id.
//!
//! The server hands a message out again only on a new connection; one that the application refused is therefore kept and handed out
//! again from here, after a pause, unacknowledged until it is done.

use crate::settings::Settings;
use broker_core::{Inbox, Table, Turns};
use mqtt_core::{Lost, Publish, Session, matches};
use proa_sdk::pubsub::{Error, Message, Verdict};
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long messages that are with the application may hold up a successor, which takes the session away: what is not acknowledged by then
/// comes twice. What the host has received and not handed on cannot be answered before this ends, so it is short.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection that a successor has ended is not made again.
const YIELD: Duration = Duration::from_secs(5);
/// How long a refused message rests.
const REST: Duration = Duration::from_secs(1);
/// Messages that nobody acknowledges (QoS 0) may wait here.
const UNACKNOWLEDGED: usize = 65_536;

/// A message that is not settled.
pub struct Held {
    message: Publish,
    epoch: u64,
    refused: Cell<u32>,
}

pub struct Subscription {
    pub filter: String,
    /// The end of the subscription ends it on the server, too.
    told: bool,
    inbox: Inbox<Rc<Key>>,
}

/// Compared by place: ids of packets come again.
pub struct Key(Held);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

pub struct Subscriptions {
    settings: Rc<Settings>,
    session: RefCell<Option<Session>>,
    all: Table<Subscription>,
    /// Messages of a session that was there before its subscriptions were stated here.
    early: RefCell<Vec<Rc<Key>>>,
    turns: Turns,
}

fn message(key: &Key) -> Message {
    let held = &key.0;
    Message {
        id: String::new(),
        topic: held.message.topic.clone(),
        data: held.message.payload.clone(),
        content_type: None,
        metadata: vec![("retained".into(), held.message.retain.to_string())],
        lane: None,
        redeliveries: held.refused.get() + u32::from(held.message.duplicate),
    }
}

impl Subscriptions {
    pub fn new(settings: Rc<Settings>) -> Rc<Self> {
        let (session, early) = (RefCell::default(), RefCell::default());
        Rc::new(Self { settings, session, all: Table::default(), early, turns: Turns::default() })
    }

    async fn session(self: &Rc<Self>) -> Result<Session, Error> {
        let current = self.session.borrow().clone();
        if let Some(session) = current {
            return Ok(session);
        }
        let weak = Rc::downgrade(self);
        let sink = Rc::new(move |message: Publish, epoch| {
            if let Some(subscriptions) = weak.upgrade() {
                subscriptions.take_in(message, epoch);
            }
        });
        let session = Session::connect(self.settings.dial.clone(), sink).await;
        let session = session.map_err(|e| Error::Unavailable(format!("failed to establish connection to broker: {e}")))?;
        *self.session.borrow_mut() = Some(session.clone());
        Ok(session)
    }

    pub async fn add(self: &Rc<Self>, filter: &str, told: bool) -> Result<u64, Error> {
        if filter.is_empty() {
            return Err(Error::InvalidArgument("topic name is empty".into()));
        }
        let _turn = self.turns.next().await;
        self.add_in_turn(filter, told).await
    }

    async fn add_in_turn(self: &Rc<Self>, filter: &str, told: bool) -> Result<u64, Error> {
        let session = self.session().await?;
        let told = told || self.settings.dial.clean;
        let subscription = Rc::new(Subscription { filter: filter.to_owned(), told, inbox: Inbox::new(false) });
        let number = self.all.add(subscription);
        let early = self.early.take();
        early.into_iter().for_each(|key| self.route(key));
        let outcome = time::timeout(Duration::from_secs(20), session.subscribe(filter, self.settings.qos)).await;
        let error = match outcome {
            Some(Ok(Ok(()))) => {
                log::info(format!("MQTT is subscribed to topic {filter} (qos: {})", self.settings.qos));
                return Ok(number);
            }
            Some(Ok(Err(text))) => Error::Denied(format!("mqtt error from subscribe: {text}")),
            Some(Err(Lost)) => Error::Unavailable("mqtt error from subscribe: connection lost before Subscribe completed".into()),
            None => Error::Unavailable("mqtt error from subscribe: timeout waiting for subscription".into()),
        };
        self.all.remove(number);
        Err(error)
    }

    fn take_in(&self, message: Publish, epoch: u64) {
        self.route(Rc::new(Key(Held { message, epoch, refused: Cell::new(0) })));
    }

    /// To the subscription of exactly this topic, or the first whose filter matches.
    fn route(&self, key: Rc<Key>) {
        let topic = &key.0.message.topic;
        let all = self.all.list();
        let mut open = all.iter().map(|(_, s)| s).filter(|s| !s.inbox.is_ended());
        let found = open.clone().find(|s| s.filter == *topic).or_else(|| open.find(|s| matches(&s.filter, topic)));
        match found {
            Some(subscription) if key.0.message.qos == 0 && subscription.inbox.waiting() >= UNACKNOWLEDGED => {
                log::warn(format!("mqtt: too many messages of topic {topic} with QoS 0 are waiting: one is dropped"));
            }
            Some(subscription) => {
                let _ = subscription.inbox.put(message(&key), key.clone());
            }
            None if key.0.message.qos > 0 => self.early.borrow_mut().push(key),
            None => {}
        }
    }

    pub async fn receive(&self, number: u64, max: usize, wait: Duration) -> Result<Vec<Message>, Error> {
        Ok(self.all.known(number)?.inbox.receive(max, wait).await)
    }

    pub fn settle(self: &Rc<Self>, number: u64, verdicts: &[(String, Verdict)]) {
        let (Some(subscription), session) = (self.all.get(number), self.session.borrow().clone()) else { return };
        for (id, verdict) in verdicts {
            let Some(key) = subscription.inbox.settle(id) else { continue };
            let held = &key.0;
            match verdict {
                Verdict::Ack | Verdict::Drop => {
                    // Too late, and the server sends it again.
                    let _ = session.as_ref().map(|s| s.acknowledge(held.message.id, held.message.qos, held.epoch));
                }
                Verdict::Retry => {
                    held.refused.set(held.refused.get() + 1);
                    let (key, subscription, session) = (key.clone(), subscription.clone(), session.clone());
                    proa_sdk::spawn(async move {
                        time::sleep(REST).await;
                        // A message of an earlier connection comes from the server.
                        if key.0.message.qos == 0 || session.is_some_and(|s| s.epoch() == key.0.epoch) {
                            let _ = subscription.inbox.put(message(&key), key.clone());
                        }
                    });
                }
            }
        }
    }

    /// Hands out no more. What waits here stays unacknowledged: the server keeps it for the session's next connection.
    pub async fn end(&self, number: u64) {
        let Some(subscription) = self.all.get(number).filter(|s| !s.inbox.is_ended()) else { return };
        subscription.inbox.end();
        let others = self.all.list().iter().any(|(_, s)| !s.inbox.is_ended());
        let session = self.session.borrow().clone();
        if let Some(session) = &session {
            // In a swap a successor takes the client id over from here on.
            match others {
                true => session.yield_for(YIELD),
                false => session.rest(),
            }
            session.unsubscribe(&subscription.filter, subscription.told).await;
        }
        if !others {
            subscription.inbox.answered(PATIENCE).await;
            self.close().await;
        }
    }

    pub async fn close(&self) {
        let session = self.session.borrow_mut().take();
        if let Some(session) = session {
            session.close().await;
        }
        self.early.take();
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.all.list().into_iter().map(|(number, _)| number).collect()
    }
}
