//! The connection to NATS: one for all calls, made again whenever it ends. Subscriptions are stated anew on each; requests that it took
//! along fail with [`Lost`], and their callers decide.

mod connect;

use crate::frame::{self, Delivered, Frame};
use crate::settings::Settings;
use broker_core::{Answer, Incoming, Outgoing, Pause, Waiters, once};
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

/// The inbox of replies has this subscription's number.
const REPLIES: u64 = 1;
/// How often the connection is tried when nothing else is heard.
const PING: Duration = Duration::from_secs(20);

/// The connection ended before the answer came.
#[derive(Debug)]
pub struct Lost;

/// Takes the messages of one subscription.
pub type Sink = Rc<dyn Fn(Delivered)>;

struct Listener {
    subject: String,
    queue: Option<String>,
    sink: Sink,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Client(Rc<Shared>);

pub struct Shared {
    pub settings: Settings,
    inbox: String,
    out: RefCell<Option<Outgoing>>,
    /// Counts connections.
    epoch: Cell<u64>,
    last: Cell<u64>,
    waiting: RefCell<HashMap<String, Answer<Delivered>>>,
    listeners: RefCell<HashMap<u64, Listener>>,
    /// What the server said last about why it would not have us.
    failure: RefCell<String>,
    heard: Cell<bool>,
    closed: Cell<bool>,
    changed: Waiters,
}

impl Client {
    /// Connects, or says why that failed; from then on reconnects by itself.
    pub async fn connect(settings: Settings) -> Result<Self, String> {
        let inbox = format!("_INBOX.{}", uuid::Uuid::new_v4().simple());
        let shared = Rc::new(Shared {
            settings,
            inbox,
            out: RefCell::default(),
            epoch: Cell::new(0),
            last: Cell::new(REPLIES),
            waiting: RefCell::default(),
            listeners: RefCell::default(),
            failure: RefCell::new("no connection".into()),
            heard: Cell::new(true),
            closed: Cell::new(false),
            changed: Waiters::default(),
        });
        let first = connect::any(&shared.settings).await?;
        let client = Self(shared);
        let task = client.clone();
        let (begin, begun) = once();
        proa_sdk::spawn(async move { task.keep(first, begin).await });
        begun.get().await;
        Ok(client)
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub fn epoch(&self) -> u64 {
        self.0.epoch.get()
    }

    pub fn inbox(&self) -> String {
        format!("{}.{}", self.0.inbox, self.next())
    }

    fn next(&self) -> u64 {
        self.0.last.set(self.0.last.get() + 1);
        self.0.last.get()
    }

    /// Waits for a connection.
    async fn connected(&self) -> Outgoing {
        self.0.changed.until(|| self.0.out.borrow().as_ref().is_some_and(|o| !o.is_closed()) || self.0.closed.get()).await;
        self.0.out.borrow().clone().unwrap_or_default()
    }

    /// Sends a message and waits for its answer. Waits for a connection too, but sends only once.
    pub async fn request(&self, subject: &str, headers: Option<&str>, payload: &[u8]) -> Result<Delivered, Lost> {
        let out = self.connected().await;
        out.room().await;
        let token = self.next().to_string();
        let reply = format!("{}.r.{token}", self.0.inbox);
        let (answer, once) = once();
        self.0.waiting.borrow_mut().insert(token.clone(), answer);
        if out.is_closed() {
            self.0.waiting.borrow_mut().remove(&token);
            return Err(Lost);
        }
        out.send(|buffer| publish(buffer, subject, Some(&reply), headers, payload));
        // Removed again when the caller gives up.
        let guard = Forget(self, token);
        let outcome = once.get().await.ok_or(Lost);
        drop(guard);
        outcome
    }

    /// Sends a message that nobody answers. Lost when there is no connection.
    pub fn send(&self, subject: &str, payload: &[u8]) -> Result<(), Lost> {
        let out = self.0.out.borrow();
        let out = out.as_ref().filter(|o| !o.is_closed()).ok_or(Lost)?;
        out.send(|buffer| publish(buffer, subject, None, None, payload));
        Ok(())
    }

    /// Hears `subject`, also after a reconnect. The number ends it.
    pub fn listen(&self, subject: String, queue: Option<String>, sink: Sink) -> u64 {
        let sid = self.next();
        let listener = Listener { subject, queue, sink };
        if let Some(out) = &*self.0.out.borrow() {
            out.send(|buffer| listener.state(sid, buffer));
        }
        self.0.listeners.borrow_mut().insert(sid, listener);
        sid
    }

    pub fn unlisten(&self, sid: u64) {
        self.0.listeners.borrow_mut().remove(&sid);
        if let Some(out) = &*self.0.out.borrow() {
            out.send(|buffer| {
                let _ = write!(buffer, "UNSUB {sid}\r\n");
            });
        }
    }

    /// Waits for the next connection after `epoch`; false when the client is closed.
    pub async fn reconnected(&self, epoch: u64) -> bool {
        self.0.changed.until(|| self.0.closed.get() || (self.0.epoch.get() > epoch && self.0.out.borrow().is_some())).await;
        !self.0.closed.get()
    }

    /// Whether the server answers.
    pub async fn flush(&self) -> Result<(), String> {
        let up = self.0.out.borrow().as_ref().is_some_and(|o| !o.is_closed());
        if up { Ok(()) } else { Err(self.0.failure.borrow().clone()) }
    }

    pub async fn close(&self) {
        self.0.closed.set(true);
        let out = self.0.out.take();
        self.0.changed.wake();
        if let Some(out) = out {
            out.close();
            time::timeout(Duration::from_secs(2), out.finished()).await;
        }
    }

    async fn keep(self, first: (Incoming, proa_sdk::net::Writer), begun: Answer<()>) {
        let mut begun = Some(begun);
        let mut connection = Some(first);
        let mut pause = Pause::new(Duration::from_millis(50), Duration::from_secs(2));
        while !self.0.closed.get() {
            let opened = match connection.take() {
                Some(opened) => Ok(opened),
                None => connect::any(&self.0.settings).await,
            };
            match opened {
                Ok((incoming, writer)) => {
                    let since = std::time::Instant::now();
                    let why = self.serve(incoming, writer, begun.take()).await;
                    if !self.0.closed.get() {
                        log::warn(format!("jetstream: lost the connection: {why}"));
                        *self.0.failure.borrow_mut() = why;
                    }
                    if since.elapsed() > Duration::from_secs(1) {
                        pause.reset();
                    }
                }
                Err(error) => {
                    log::debug(format!("jetstream: cannot connect: {error}"));
                    *self.0.failure.borrow_mut() = error;
                }
            }
            if !self.0.closed.get() {
                time::sleep(pause.take()).await;
            }
        }
    }

    /// One connection, to its end.
    async fn serve(&self, mut incoming: Incoming, writer: proa_sdk::net::Writer, begun: Option<Answer<()>>) -> String {
        let out = Outgoing::start(writer, |_| {});
        out.send(|buffer| {
            let _ = write!(buffer, "SUB {}.r.* {REPLIES}\r\n", self.0.inbox);
            for (sid, listener) in &*self.0.listeners.borrow() {
                listener.state(*sid, buffer);
            }
        });
        *self.0.out.borrow_mut() = Some(out.clone());
        self.0.epoch.set(self.0.epoch.get() + 1);
        self.0.heard.set(true);
        self.0.changed.wake();
        if let Some(begun) = begun {
            begun.give(());
        }
        let pinger = (self.clone(), self.epoch());
        let over = out.clone();
        proa_sdk::spawn(async move { pinger.0.ping(pinger.1, &over).await });
        let why = loop {
            match self.drain(&mut incoming, &out) {
                Ok(()) => {}
                Err(why) => break why,
            }
            if out.is_closed() {
                break "closed".into();
            }
            // A connection that is not heard for two pings is over; its reader learns from the closed queue at the next look.
            match time::timeout(PING * 2, incoming.fill()).await {
                Some(Ok(())) => self.0.heard.set(true),
                Some(Err(error)) => break error.to_string(),
                None => break "stale connection".into(),
            }
        };
        self.0.out.take();
        out.close();
        self.0.waiting.take();
        self.0.changed.wake();
        why
    }

    async fn ping(&self, epoch: u64, out: &Outgoing) {
        loop {
            time::timeout(PING, self.0.changed.until(|| self.0.closed.get() || self.0.epoch.get() != epoch || out.is_closed())).await;
            if self.0.closed.get() || self.epoch() != epoch || out.is_closed() {
                return;
            }
            if !self.0.heard.replace(false) {
                out.send(|buffer| buffer.extend_from_slice(b"PING\r\n"));
            }
        }
    }

    /// Everything that is here already.
    fn drain(&self, incoming: &mut Incoming, out: &Outgoing) -> Result<(), String> {
        while let Some((frame, length)) = frame::next(incoming.bytes())? {
            incoming.consume(length);
            match frame {
                Frame::Message(message) => self.route(message),
                Frame::Ping => out.send(|buffer| buffer.extend_from_slice(b"PONG\r\n")),
                Frame::Error(text) => self.complaint(&text)?,
                Frame::Pong | Frame::Info(_) | Frame::Ok => {}
            }
        }
        Ok(())
    }

    /// Some errors end the connection, the others concern one subject.
    fn complaint(&self, text: &str) -> Result<(), String> {
        if text.to_ascii_lowercase().starts_with("permissions violation") || text.eq_ignore_ascii_case("invalid subject") {
            log::error(format!("jetstream: nats: {text}"));
            return Ok(());
        }
        Err(format!("nats: {text}"))
    }

    fn route(&self, message: Delivered) {
        if message.sid == REPLIES {
            let answer = message.subject.rsplit('.').next().and_then(|token| self.0.waiting.borrow_mut().remove(token));
            if let Some(answer) = answer {
                answer.give(message);
            }
            return;
        }
        let sink = self.0.listeners.borrow().get(&message.sid).map(|l| l.sink.clone());
        if let Some(sink) = sink {
            sink(message);
        }
    }
}

struct Forget<'a>(&'a Client, String);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.borrow_mut().remove(&self.1);
    }
}

impl Listener {
    fn state(&self, sid: u64, buffer: &mut Vec<u8>) {
        let _ = match &self.queue {
            Some(queue) => write!(buffer, "SUB {} {queue} {sid}\r\n", self.subject),
            None => write!(buffer, "SUB {} {sid}\r\n", self.subject),
        };
    }
}

fn publish(buffer: &mut Vec<u8>, subject: &str, reply: Option<&str>, headers: Option<&str>, payload: &[u8]) {
    let reply = reply.map(|r| format!(" {r}")).unwrap_or_default();
    let _ = match headers {
        Some(headers) => write!(buffer, "HPUB {subject}{reply} {} {}\r\n{headers}", headers.len(), headers.len() + payload.len()),
        None => write!(buffer, "PUB {subject}{reply} {}\r\n", payload.len()),
    };
    buffer.extend_from_slice(payload);
    buffer.extend_from_slice(b"\r\n");
}
