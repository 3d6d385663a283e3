//! The input: a consumer on the queue, made again after each reconnect.

use crate::failure;
use crate::settings::Settings;
use amqp_core::{Channel, Client, Delivery, Method, Table, Value};
use broker_core::Inbox;
use proa_sdk::bindings::{Error, Event, Metadata, Verdict};
use proa_sdk::pubsub::Message;
use proa_sdk::{log, time};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Read ahead where the configuration says nothing.
const PREFETCH: u16 = 128;
/// How long an event that is with the application may hold up the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names the consumer on its channel.
const TAG: &str = "input";

pub struct Reading {
    client: Client,
    settings: Rc<Settings>,
    inbox: Inbox<u64>,
    channel: RefCell<Option<Channel>>,
    started: Cell<bool>,
}

/// As Go escapes a query: header names become names of HTTP headers.
fn escaped(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    name.bytes()
        .map(|b| match b {
            b' ' => "+".to_owned(),
            b if plain(b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn metadata(delivery: &Delivery) -> Metadata {
    let headers = delivery.properties.headers.iter().flatten();
    let text = |(name, value): (&String, &Value)| match value {
        Value::Text(bytes) => Some((escaped(name), String::from_utf8_lossy(bytes).into_owned())),
        _ => None,
    };
    headers.map(|(n, v)| (n, v)).filter_map(text).collect()
}

impl Reading {
    pub fn new(client: Client, settings: Rc<Settings>) -> Rc<Self> {
        Rc::new(Self { client, settings, inbox: Inbox::new(false), channel: RefCell::default(), started: Cell::new(false) })
    }

    pub async fn start(self: &Rc<Self>) -> Result<(), Error> {
        if self.started.replace(true) {
            return Ok(());
        }
        if let Err(error) = self.consume().await {
            self.started.set(false);
            return Err(error);
        }
        let task = self.clone();
        proa_sdk::spawn(async move { task.keep().await });
        Ok(())
    }

    async fn consume(self: &Rc<Self>) -> Result<(), Error> {
        let refused = |e: amqp_core::Failure| failure(&e);
        let channel = self.client.channel().await.map_err(refused)?;
        channel.call(&self.settings.declare()).await.map_err(refused)?;
        let count = if self.settings.prefetch > 0 { self.settings.prefetch } else { PREFETCH };
        channel.call(&Method::Qos { count, global: false }).await.map_err(refused)?;
        self.inbox.forget();
        *self.channel.borrow_mut() = Some(channel.clone());
        let (weak, on) = (Rc::downgrade(self), channel.clone());
        let sink = Rc::new(move |delivery: Delivery| {
            let Some(reading) = weak.upgrade() else { return };
            let (tag, metadata) = (delivery.tag, metadata(&delivery));
            let (id, topic, content_type, lane) = (String::new(), String::new(), None, None);
            if !reading.inbox.put(Message { id, topic, data: delivery.body, content_type, metadata, lane, redeliveries: 0 }, tag) {
                let _ = on.tell(&Method::Nack { tag, multiple: false, requeue: true });
            }
        });
        channel.consume(&self.settings.queue, TAG, Table::new(), sink).await.map_err(refused)
    }

    async fn keep(self: Rc<Self>) {
        loop {
            let current = self.channel.borrow().clone();
            if let Some(channel) = current {
                channel.over().await;
                self.inbox.forget();
            }
            self.client.connected(Duration::from_secs(3600)).await;
            if self.inbox.is_ended() || self.client.is_closed() {
                return;
            }
            if let Err(error) = self.consume().await {
                log::error(format!("Error consuming messages from queue [{}]: {error:?}", self.settings.queue));
                time::sleep(self.settings.reconnect_wait.max(Duration::from_millis(100))).await;
            }
        }
    }

    fn tell(&self, method: &Method) {
        // On a channel that is over the message is the broker's again.
        if let Some(channel) = &*self.channel.borrow() {
            let _ = channel.tell(method);
        }
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Event> {
        let event = |m: Message| Event { id: m.id, data: m.data, content_type: None, metadata: m.metadata, lane: None };
        self.inbox.receive(max, wait).await.into_iter().map(event).collect()
    }

    pub fn settle(&self, verdicts: &[(String, Verdict)]) {
        for (id, verdict) in verdicts {
            let Some(tag) = self.inbox.settle(id) else { continue };
            self.tell(&match verdict {
                Verdict::Handled(_) => Method::Ack { tag, multiple: false },
                Verdict::Failed(_) => Method::Nack { tag, multiple: false, requeue: true },
            });
        }
    }

    /// Takes no more, and gives back what waits here. What is with the application can still be settled: the host may do so behind this.
    pub async fn stop(&self) {
        if self.inbox.is_ended() {
            return;
        }
        let waiting = self.inbox.end();
        let channel = self.channel.borrow().clone();
        if let Some(channel) = channel {
            let cancel = Method::Cancel { tag: TAG.to_owned() };
            // A consumer that cannot be cancelled ends with its channel.
            let _ = time::timeout(PATIENCE, channel.call(&cancel)).await;
        }
        for tag in waiting.into_iter().rev() {
            self.tell(&Method::Nack { tag, multiple: false, requeue: true });
        }
    }

    /// The instance ends: what is not settled by then is the queue's again.
    pub async fn close(&self) {
        self.stop().await;
        self.inbox.answered(PATIENCE).await;
        let channel = self.channel.borrow_mut().take();
        if let Some(channel) = channel {
            channel.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_escaped_as_in_go() {
        assert_eq!(super::escaped("a b/ü-_.~"), "a+b%2F%C3%BC-_.~");
    }
}
