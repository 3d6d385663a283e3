//! One client id: a connection that is made again whenever it ends, its subscriptions, and messages under way in both directions.

use crate::dial::{Dial, KEEP_ALIVE};
use crate::packet::{self, Packet, Publish};
use broker_core::{Answer, Incoming, Outgoing, Pause, Waiters, once};
use proa_sdk::net::Writer;
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The connection ended before the answer came.
#[derive(Debug)]
pub struct Lost;

/// Takes each message with the number of the connection that brought it.
pub type Sink = Rc<dyn Fn(Publish, u64)>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Session(Rc<Shared>);

struct Shared {
    dial: Dial,
    sink: Sink,
    out: RefCell<Option<Outgoing>>,
    epoch: Cell<u64>,
    last: Cell<u16>,
    /// Requests that wait for an answer, by their number.
    waiting: RefCell<HashMap<u16, Answer<u8>>>,
    filters: RefCell<BTreeMap<String, u8>>,
    failure: RefCell<String>,
    heard: Cell<bool>,
    closed: Cell<bool>,
    /// Something is read.
    serving: Cell<bool>,
    /// A lost connection is not made again: somebody else has this client id now.
    resting: Cell<bool>,
    /// The same, for a while.
    quiet: Cell<Option<Instant>>,
    changed: Waiters,
}

impl Session {
    /// Connects, or says why that failed; from then on reconnects by itself.
    pub async fn connect(dial: Dial, sink: Sink) -> Result<Self, String> {
        let first = dial.open().await?;
        let session = Self(Rc::new(Shared {
            dial,
            sink,
            out: RefCell::default(),
            epoch: Cell::new(0),
            last: Cell::new(0),
            waiting: RefCell::default(),
            filters: RefCell::default(),
            failure: RefCell::new("not Connected".into()),
            heard: Cell::new(true),
            closed: Cell::new(false),
            serving: Cell::new(false),
            resting: Cell::new(false),
            quiet: Cell::new(None),
            changed: Waiters::default(),
        }));
        let (begun, wait) = once();
        let task = session.clone();
        proa_sdk::spawn(async move { task.keep(first, begun).await });
        wait.get().await;
        Ok(session)
    }

    /// Counts connections.
    pub fn epoch(&self) -> u64 {
        self.0.epoch.get()
    }

    pub fn ping(&self) -> Result<(), String> {
        let up = self.0.out.borrow().as_ref().is_some_and(|o| !o.is_closed());
        if up { Ok(()) } else { Err(self.0.failure.borrow().clone()) }
    }

    /// From now on a lost connection stays lost.
    pub fn rest(&self) {
        self.0.resting.set(true);
    }

    /// A connection that is lost within `span` stays lost for the rest of it: two that have one client id would end each other's in turn.
    pub fn yield_for(&self, span: Duration) {
        self.0.quiet.set(Some(Instant::now() + span));
    }

    fn over(&self) -> bool {
        self.0.closed.get() || (self.0.resting.get() && self.0.out.borrow().is_none())
    }

    async fn connected(&self) -> Result<Outgoing, Lost> {
        self.0.changed.until(|| self.over() || self.0.out.borrow().as_ref().is_some_and(|o| !o.is_closed())).await;
        self.0.out.borrow().clone().ok_or(Lost)
    }

    /// A number that nothing under way has.
    fn number(&self) -> u16 {
        let waiting = self.0.waiting.borrow();
        let mut next = self.0.last.get();
        for _ in 0..=u16::MAX {
            next = next.checked_add(1).unwrap_or(1);
            if !waiting.contains_key(&next) {
                break;
            }
        }
        self.0.last.set(next);
        next
    }

    async fn ask(&self, write: impl FnOnce(&mut Vec<u8>, u16)) -> Result<u8, Lost> {
        let out = self.connected().await?;
        // As many as have numbers, with room to spare.
        self.0.changed.until(|| self.0.closed.get() || self.0.waiting.borrow().len() < 10_000).await;
        out.room().await;
        if out.is_closed() {
            return Err(Lost);
        }
        let id = self.number();
        let (answer, once) = once();
        self.0.waiting.borrow_mut().insert(id, answer);
        out.send(|o| write(o, id));
        once.get().await.ok_or(Lost)
    }

    /// Returns once the server has the message; with QoS 0, once it is sent.
    pub async fn publish(&self, message: &Publish) -> Result<(), Lost> {
        if message.qos == 0 {
            let out = self.connected().await?;
            out.room().await;
            out.send(|o| packet::publish(o, message));
            return if out.is_closed() { Err(Lost) } else { Ok(()) };
        }
        self.ask(|o, id| packet::publish(o, &Publish { id, ..message.clone() })).await.map(|_| ())
    }

    /// Subscribes, again after each reconnect. The error: the server does not want it.
    pub async fn subscribe(&self, filter: &str, qos: u8) -> Result<Result<(), String>, Lost> {
        let code = self.ask(|o, id| packet::subscribe(o, id, filter, qos)).await?;
        if code == 0x80 {
            return Ok(Err("the broker refused the subscription".into()));
        }
        self.0.filters.borrow_mut().insert(filter.to_owned(), qos);
        Ok(Ok(()))
    }

    /// Forgets a filter; `told`: the server forgets it too, and with it what the session has not read.
    pub async fn unsubscribe(&self, filter: &str, told: bool) {
        self.0.filters.borrow_mut().remove(filter);
        if told {
            let _ = time::timeout(Duration::from_secs(5), self.ask(|o, id| packet::unsubscribe(o, id, filter))).await;
        }
    }

    /// Acknowledges a message, if the connection that brought it is still there: otherwise the server sends it again.
    pub fn acknowledge(&self, id: u16, qos: u8, epoch: u64) -> bool {
        let out = self.0.out.borrow();
        let Some(out) = out.as_ref().filter(|o| epoch == self.epoch() && !o.is_closed()) else { return false };
        match qos {
            0 => {}
            1 => out.send(|o| packet::answer(o, packet::ACK, id)),
            _ => out.send(|o| packet::answer(o, packet::RECEIVED, id)),
        }
        true
    }

    pub async fn close(&self) {
        self.0.closed.set(true);
        let out = self.0.out.take();
        if let Some(out) = out {
            out.send(|o| o.extend_from_slice(packet::DISCONNECT));
            out.close();
            time::timeout(Duration::from_secs(2), out.finished()).await;
            // A socket that is closed while something in it is unread resets the connection, and acknowledgements under way are lost.
            time::timeout(Duration::from_secs(2), self.0.changed.until(|| !self.0.serving.get())).await;
        }
        self.0.waiting.take();
        self.0.changed.wake();
    }

    async fn keep(self, first: (Incoming, Writer), begun: Answer<()>) {
        let (mut opened, mut begun) = (Some(Ok(first)), Some(begun));
        let mut pause = Pause::new(Duration::from_millis(50), Duration::from_secs(5));
        while !self.over() || opened.is_some() {
            let attempt = match opened.take() {
                Some(attempt) => attempt,
                None => self.0.dial.open().await,
            };
            match attempt {
                Ok((incoming, writer)) => {
                    let since = Instant::now();
                    self.0.serving.set(true);
                    let why = self.serve(incoming, writer, begun.take()).await;
                    self.0.serving.set(false);
                    self.0.changed.wake();
                    if !self.0.closed.get() && !self.0.resting.get() {
                        log::warn(format!("mqtt: lost the connection of {}: {why}", self.0.dial.client_id));
                    }
                    *self.0.failure.borrow_mut() = why;
                    if since.elapsed() > Duration::from_secs(1) {
                        pause.reset();
                    }
                }
                Err(error) => {
                    log::debug(format!("mqtt: cannot connect: {error}"));
                    *self.0.failure.borrow_mut() = error;
                }
            }
            if !self.over() {
                let quiet = self.0.quiet.take().map(|end| end.saturating_duration_since(Instant::now())).unwrap_or_default();
                time::timeout(pause.take().max(quiet), self.0.changed.until(|| self.over())).await;
            }
        }
    }

    async fn serve(&self, mut incoming: Incoming, writer: Writer, begun: Option<Answer<()>>) -> String {
        let out = Outgoing::start(writer, |_| {});
        self.0.epoch.set(self.epoch() + 1);
        let filters = self.0.filters.borrow().clone();
        for (filter, qos) in filters {
            let id = self.number();
            out.send(|o| packet::subscribe(o, id, &filter, qos));
        }
        *self.0.out.borrow_mut() = Some(out.clone());
        self.0.heard.set(true);
        self.0.changed.wake();
        if let Some(begun) = begun {
            begun.give(());
        }
        let (pinger, beating) = (self.clone(), out.clone());
        proa_sdk::spawn(async move {
            while !beating.is_closed() && !pinger.0.closed.get() {
                time::sleep(KEEP_ALIVE / 2).await;
                beating.send(|o| o.extend_from_slice(packet::PING));
            }
        });
        let why = loop {
            if let Err(why) = self.drain(&mut incoming, &out) {
                break why;
            }
            match time::timeout(KEEP_ALIVE * 2, incoming.fill()).await {
                Some(Ok(())) => {}
                Some(Err(error)) => break error.to_string(),
                None => break "pingresp not received, disconnecting".into(),
            }
        };
        self.0.out.take();
        out.close();
        self.0.waiting.take();
        self.0.changed.wake();
        why
    }

    fn answered(&self, id: u16, code: u8) {
        let answer = self.0.waiting.borrow_mut().remove(&id);
        if let Some(answer) = answer {
            answer.give(code);
            self.0.changed.wake();
        }
    }

    fn drain(&self, incoming: &mut Incoming, out: &Outgoing) -> Result<(), String> {
        while let Some((packet, length)) = packet::next(incoming.bytes())? {
            incoming.consume(length);
            match packet {
                Packet::Publish(message) => (self.0.sink)(message, self.epoch()),
                Packet::Ack(id) | Packet::Complete(id) | Packet::Unsubscribed(id) => self.answered(id, 0),
                Packet::Subscribed(id, codes) => self.answered(id, codes.first().copied().unwrap_or(0x80)),
                Packet::Received(id) => out.send(|o| packet::answer(o, packet::RELEASE, id)),
                Packet::Release(id) => out.send(|o| packet::answer(o, packet::COMPLETE, id)),
                Packet::Accepted { .. } | Packet::Pong => {}
            }
        }
        Ok(())
    }
}
