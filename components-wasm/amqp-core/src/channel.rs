//! A channel: requests answered in order, deliveries, confirms. It ends with its connection, or when the server closes it.

use crate::client::Shared;
use crate::dial::exception;
use crate::frame::{self, Frame};
use crate::method::Method;
use crate::properties::Properties;
use broker_core::{Answer, Outgoing, once};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The connection, or the channel, went away meanwhile.
    Lost,
    /// The server refused: code and text. The channel is over.
    Refused(u16, String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost => f.write_str("Exception (504) Reason: \"channel/connection is not open\""),
            Self::Refused(code, text) => f.write_str(&exception(*code, text)),
        }
    }
}

/// A message that a consumer got.
pub struct Delivery {
    pub tag: u64,
    pub redelivered: bool,
    pub key: String,
    pub properties: Properties,
    pub body: Vec<u8>,
}

type Sink = Rc<dyn Fn(Delivery)>;
type Reply = Result<Method, Failure>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Channel(pub(crate) Rc<State>);

pub(crate) struct State {
    number: u16,
    frame: u32,
    out: Outgoing,
    client: Weak<Shared>,
    closed: RefCell<Option<Failure>>,
    requests: RefCell<VecDeque<Answer<Reply>>>,
    /// The number of the last publish, once confirms are on.
    published: Cell<u64>,
    confirming: Cell<bool>,
    confirms: RefCell<BTreeMap<u64, Answer<bool>>>,
    sink: RefCell<Option<Sink>>,
    arriving: RefCell<Option<(Delivery, u64)>>,
    over: RefCell<Vec<Answer<()>>>,
}

impl Channel {
    pub(crate) fn new(number: u16, frame: u32, out: Outgoing, client: Weak<Shared>) -> Self {
        Self(Rc::new(State {
            number,
            frame,
            out,
            client,
            closed: RefCell::default(),
            requests: RefCell::default(),
            published: Cell::new(0),
            confirming: Cell::new(false),
            confirms: RefCell::default(),
            sink: RefCell::default(),
            arriving: RefCell::default(),
            over: RefCell::default(),
        }))
    }

    pub fn is_open(&self) -> bool {
        self.0.closed.borrow().is_none() && !self.0.out.is_closed()
    }

    fn failure(&self) -> Failure {
        self.0.closed.borrow().clone().unwrap_or(Failure::Lost)
    }

    /// A request, and the server's answer.
    pub async fn call(&self, method: &Method) -> Reply {
        if !self.is_open() {
            return Err(self.failure());
        }
        let (answer, once) = once();
        self.0.requests.borrow_mut().push_back(answer);
        self.0.out.send(|o| frame::put_method(o, self.0.number, method));
        once.get().await.unwrap_or_else(|| Err(self.failure()))
    }

    /// What the server does not answer. Nothing is sent on a channel that is over.
    pub fn tell(&self, method: &Method) -> Result<(), Failure> {
        if !self.is_open() {
            return Err(self.failure());
        }
        self.0.out.send(|o| frame::put_method(o, self.0.number, method));
        Ok(())
    }

    pub async fn confirm(&self) -> Result<(), Failure> {
        self.call(&Method::ConfirmSelect).await?;
        self.0.confirming.set(true);
        Ok(())
    }

    /// Sends a message; with confirms, waits until the server has it. False: the server did not take it.
    pub async fn publish(&self, exchange: &str, key: &str, properties: &Properties, body: &[u8]) -> Result<bool, Failure> {
        self.0.out.room().await;
        if !self.is_open() {
            return Err(self.failure());
        }
        let method = Method::Publish { exchange: exchange.to_owned(), key: key.to_owned() };
        self.0.out.send(|o| {
            frame::put_method(o, self.0.number, &method);
            frame::put_content(o, self.0.number, properties, body, self.0.frame);
        });
        if !self.0.confirming.get() {
            return Ok(true);
        }
        let number = self.0.published.get() + 1;
        self.0.published.set(number);
        let (answer, once) = once();
        self.0.confirms.borrow_mut().insert(number, answer);
        once.get().await.ok_or_else(|| self.failure())
    }

    /// Starts a consumer; `sink` takes what it gets.
    pub async fn consume(&self, queue: &str, tag: &str, arguments: crate::Table, sink: Rc<dyn Fn(Delivery)>) -> Result<(), Failure> {
        *self.0.sink.borrow_mut() = Some(sink);
        self.call(&Method::Consume { queue: queue.to_owned(), tag: tag.to_owned(), arguments }).await.map(|_| ())
    }

    /// Waits until the channel is over.
    pub async fn over(&self) -> Failure {
        if self.is_open() {
            let (answer, once) = once();
            self.0.over.borrow_mut().push(answer);
            once.get().await;
        }
        self.failure()
    }

    /// Unacknowledged messages go back to their queue.
    pub async fn close(&self) {
        if self.is_open() {
            let _ =
                proa_sdk::time::timeout(std::time::Duration::from_secs(5), self.call(&Method::ChannelClose { code: 200, text: "bye".into() })).await;
            self.end(Failure::Lost);
        }
        if let Some(client) = self.0.client.upgrade() {
            client.release(self.0.number, self);
        }
    }

    pub(crate) fn end(&self, why: Failure) {
        if self.0.closed.borrow().is_none() {
            *self.0.closed.borrow_mut() = Some(why.clone());
        }
        self.0.sink.take();
        for request in self.0.requests.take() {
            request.give(Err(why.clone()));
        }
        self.0.confirms.take();
        self.0.over.take();
    }

    pub(crate) fn take(&self, frame: Frame) {
        match frame {
            Frame::Method(_, method) => self.method(method),
            Frame::Header(_, size, properties) => {
                if let Some((delivery, left)) = &mut *self.0.arriving.borrow_mut() {
                    delivery.properties = *properties;
                    *left = size;
                }
                self.arrived();
            }
            Frame::Body(_, part) => {
                if let Some((delivery, left)) = &mut *self.0.arriving.borrow_mut() {
                    delivery.body.extend_from_slice(&part);
                    *left = left.saturating_sub(part.len() as u64);
                }
                self.arrived();
            }
            Frame::Heartbeat => {}
        }
    }

    fn arrived(&self) {
        let whole = matches!(&*self.0.arriving.borrow(), Some((_, 0)));
        let delivery = if whole { self.0.arriving.take() } else { None };
        let sink = self.0.sink.borrow().clone();
        if let (Some((delivery, _)), Some(sink)) = (delivery, sink) {
            sink(delivery);
        }
    }

    fn method(&self, method: Method) {
        match method {
            Method::Deliver { tag, redelivered, key } => {
                let delivery = Delivery { tag, redelivered, key, properties: Properties::default(), body: Vec::new() };
                // Not whole before its header has come.
                *self.0.arriving.borrow_mut() = Some((delivery, u64::MAX));
            }
            Method::Ack { tag, multiple } => self.confirmed(tag, multiple, true),
            Method::Nack { tag, multiple, .. } => self.confirmed(tag, multiple, false),
            Method::ChannelClose { code, text } => {
                self.0.out.send(|o| frame::put_method(o, self.0.number, &Method::ChannelCloseOk));
                self.end(Failure::Refused(code, text));
            }
            // The queue of the consumer was deleted.
            Method::Cancel { .. } => {
                let channel = self.clone();
                proa_sdk::spawn(async move { channel.close().await });
            }
            Method::Other(..) => {}
            reply => {
                if let Some(request) = self.0.requests.borrow_mut().pop_front() {
                    request.give(Ok(reply));
                }
            }
        }
    }

    fn confirmed(&self, tag: u64, multiple: bool, taken: bool) {
        let mut confirms = self.0.confirms.borrow_mut();
        let done: Vec<_> = if multiple {
            let later = confirms.split_off(&(tag + 1));
            std::mem::replace(&mut *confirms, later).into_values().collect()
        } else {
            confirms.remove(&tag).into_iter().collect()
        };
        drop(confirms);
        done.into_iter().for_each(|answer| answer.give(taken));
    }
}
