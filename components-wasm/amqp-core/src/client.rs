//! One connection, made again whenever it ends. Channels end with it.

use crate::channel::{Channel, Failure};
use crate::dial::{Dial, Opened, exception};
use crate::frame::{self, Frame};
use crate::method::Method;
use broker_core::{Answer, Incoming, Outgoing, Waiters, once};
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Cheap to clone.
#[derive(Clone)]
pub struct Client(Rc<Shared>);

struct Link {
    out: Outgoing,
    frame: u32,
    most: u16,
}

pub(crate) struct Shared {
    dial: Dial,
    /// The pause before an attempt that follows one that failed.
    pause: Duration,
    link: RefCell<Option<Link>>,
    epoch: Cell<u64>,
    channels: RefCell<BTreeMap<u16, Channel>>,
    failure: RefCell<String>,
    closed: Cell<bool>,
    /// Something is read.
    serving: Cell<bool>,
    changed: Waiters,
}

impl Shared {
    /// The number of a channel that is over can be used again.
    pub(crate) fn release(&self, number: u16, channel: &Channel) {
        let mut channels = self.channels.borrow_mut();
        if channels.get(&number).is_some_and(|c| Rc::ptr_eq(&c.0, &channel.0)) {
            channels.remove(&number);
        }
    }
}

impl Client {
    /// Connects, or says why that failed; from then on reconnects by itself.
    pub async fn connect(dial: Dial, pause: Duration) -> Result<Self, String> {
        let first = dial.open().await?;
        let client = Self(Rc::new(Shared {
            dial,
            pause,
            link: RefCell::default(),
            epoch: Cell::new(0),
            channels: RefCell::default(),
            failure: RefCell::new("no connection".into()),
            closed: Cell::new(false),
            serving: Cell::new(false),
            changed: Waiters::default(),
        }));
        let (begun, wait) = once();
        let task = client.clone();
        proa_sdk::spawn(async move { task.keep(first, begun).await });
        wait.get().await;
        Ok(client)
    }

    /// Counts connections.
    pub fn epoch(&self) -> u64 {
        self.0.epoch.get()
    }

    pub fn is_closed(&self) -> bool {
        self.0.closed.get()
    }

    fn is_up(&self) -> bool {
        self.0.link.borrow().as_ref().is_some_and(|l| !l.out.is_closed())
    }

    /// Waits for a connection, at most `limit`.
    pub async fn connected(&self, limit: Duration) -> bool {
        time::timeout(limit, self.0.changed.until(|| self.0.closed.get() || self.is_up())).await;
        self.is_up()
    }

    pub fn ping(&self) -> Result<(), String> {
        if self.is_up() { Ok(()) } else { Err(self.0.failure.borrow().clone()) }
    }

    /// A channel on the connection that there is.
    pub async fn channel(&self) -> Result<Channel, Failure> {
        let channel = {
            let link = self.0.link.borrow();
            let link = link.as_ref().filter(|l| !l.out.is_closed()).ok_or(Failure::Lost)?;
            let mut channels = self.0.channels.borrow_mut();
            let number = (1..=link.most).find(|n| !channels.contains_key(n)).ok_or(Failure::Lost)?;
            let channel = Channel::new(number, link.frame, link.out.clone(), Rc::downgrade(&self.0));
            channels.insert(number, channel.clone());
            channel
        };
        channel.call(&Method::ChannelOpen).await?;
        Ok(channel)
    }

    pub async fn close(&self) {
        self.0.closed.set(true);
        self.0.changed.wake();
        let link = self.0.link.take();
        if let Some(link) = link {
            link.out.send(|o| frame::put_method(o, 0, &Method::Close { code: 200, text: "kthxbai".into() }));
            link.out.close();
            time::timeout(Duration::from_secs(2), link.out.finished()).await;
            // A socket that is closed while something in it is unread resets the connection, and acknowledgements under way are lost.
            time::timeout(Duration::from_secs(2), self.0.changed.until(|| !self.0.serving.get())).await;
        }
    }

    async fn keep(self, first: Opened, begun: Answer<()>) {
        let (mut opened, mut begun) = (Some(Ok(first)), Some(begun));
        while !self.0.closed.get() {
            let attempt = match opened.take() {
                Some(attempt) => attempt,
                None => self.0.dial.open().await,
            };
            let mut failed = true;
            match attempt {
                Ok(opened) => {
                    let since = Instant::now();
                    self.0.serving.set(true);
                    let why = self.serve(opened, begun.take()).await;
                    self.0.serving.set(false);
                    self.0.changed.wake();
                    failed = since.elapsed() < Duration::from_secs(1);
                    if !self.0.closed.get() {
                        log::warn(format!("rabbitmq: lost the connection: {why}"));
                    }
                    *self.0.failure.borrow_mut() = why;
                }
                Err(error) => {
                    log::debug(format!("rabbitmq: cannot connect: {error}"));
                    *self.0.failure.borrow_mut() = error;
                }
            }
            if failed {
                time::timeout(self.0.pause.max(Duration::from_millis(50)), self.0.changed.until(|| self.0.closed.get())).await;
            }
        }
    }

    async fn serve(&self, opened: Opened, begun: Option<Answer<()>>) -> String {
        let Opened { mut incoming, writer, frame, channels, heartbeat } = opened;
        let out = Outgoing::start(writer, |_| {});
        *self.0.link.borrow_mut() = Some(Link { out: out.clone(), frame, most: channels });
        self.0.epoch.set(self.0.epoch.get() + 1);
        self.0.changed.wake();
        if let Some(begun) = begun {
            begun.give(());
        }
        if let Some(every) = heartbeat {
            let beating = out.clone();
            proa_sdk::spawn(async move {
                while !beating.is_closed() {
                    time::sleep(every / 2).await;
                    beating.send(frame::put_heartbeat);
                }
            });
        }
        let why = loop {
            if let Err(why) = self.drain(&mut incoming) {
                break why;
            }
            let filled = match heartbeat {
                Some(every) => time::timeout(every * 3, incoming.fill()).await,
                None => Some(incoming.fill().await),
            };
            match filled {
                Some(Ok(())) => {}
                Some(Err(error)) => break error.to_string(),
                None => break "no heartbeat from the server".into(),
            }
        };
        self.0.link.take();
        out.close();
        let channels = self.0.channels.take();
        channels.into_values().for_each(|c| c.end(Failure::Lost));
        self.0.changed.wake();
        why
    }

    fn drain(&self, incoming: &mut Incoming) -> Result<(), String> {
        while let Some((frame, length)) = frame::next(incoming.bytes())? {
            incoming.consume(length);
            let number = match &frame {
                Frame::Method(0, Method::Close { code, text }) => return Err(exception(*code, text)),
                Frame::Method(0, Method::CloseOk) => return Err("closed".into()),
                Frame::Method(n, _) | Frame::Header(n, ..) | Frame::Body(n, _) => *n,
                Frame::Heartbeat => continue,
            };
            let channel = self.0.channels.borrow().get(&number).cloned();
            if let Some(channel) = channel {
                channel.take(frame);
                if !channel.is_open() {
                    self.0.release(number, &channel);
                }
            }
        }
        Ok(())
    }
}
