//! One subscription: a consumer on a channel of its own, made again after each reconnect.
//!
//! What is read ahead is bounded by the prefetch count, which the host's window sets where the configuration does not. Messages that
//! are neither settled nor given back when the connection ends are the broker's again.

use crate::hold::{self, Held};
use crate::publish::failure;
use crate::queue::Queue;
use crate::settings::Settings;
use amqp_core::{Channel, Client, Delivery, Failure, Method, Table, Value};
use broker_core::Inbox;
use proa_sdk::pubsub::{Error, Message, Metadata, Verdict, subscriber::SubscribeRequest};
use proa_sdk::{log, time};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long the server may take to cancel a consumer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the message that is with the application may hold up a successor where one goes at a time. What the host has received and not
/// handed on cannot be answered before this ends, so it is short.
const IN_ORDER: Duration = Duration::from_millis(500);

pub struct Subscription {
    client: Client,
    settings: Rc<Settings>,
    queue: Queue,
    prefetch: u16,
    /// Messages by channel and delivery tag.
    inbox: Inbox<u64>,
    channel: RefCell<Option<(Channel, String)>>,
}

fn metadata(delivery: &Delivery) -> Metadata {
    let p = &delivery.properties;
    let fields = [("messageid", &p.message_id), ("correlationid", &p.correlation_id), ("type", &p.kind), ("contenttype", &p.content_type)];
    let set = fields.into_iter().filter_map(|(n, v)| v.clone().filter(|v| !v.is_empty()).map(|v| (format!("metadata.{n}"), v)));
    let headers = p.headers.iter().flatten().filter(|(_, v)| *v != Value::Void).map(|(n, v)| (format!("metadata.{n}"), v.to_string()));
    set.chain(headers).collect()
}

impl Subscription {
    pub async fn start(client: &Client, settings: &Rc<Settings>, request: SubscribeRequest) -> Result<Rc<Self>, Error> {
        let queue = Queue::new(settings, &request.topic, &request.metadata)?;
        let window = u16::try_from(request.window.saturating_mul(2)).unwrap_or(u16::MAX).max(1);
        let subscription = Rc::new(Self {
            client: client.clone(),
            settings: settings.clone(),
            queue,
            prefetch: if settings.prefetch > 0 { settings.prefetch } else { window },
            inbox: Inbox::new(settings.single),
            channel: RefCell::default(),
        });
        client.connected(settings.reconnect_wait).await;
        subscription.consume().await?;
        let task = subscription.clone();
        proa_sdk::spawn(async move { task.keep().await });
        Ok(subscription)
    }

    async fn consume(self: &Rc<Self>) -> Result<(), Error> {
        let channel = self.client.channel().await.map_err(|e| failure(&e))?;
        let outcome = self.consume_on(&channel).await;
        if outcome.is_err() {
            channel.close().await;
        }
        outcome
    }

    async fn consume_on(self: &Rc<Self>, channel: &Channel) -> Result<(), Error> {
        self.queue.declare(channel, &self.settings).await?;
        channel.call(&Method::Qos { count: self.prefetch, global: false }).await.map_err(|e| failure(&e))?;
        let tag = format!("{}-{}", self.queue.name, uuid::Uuid::new_v4());
        let cut = (0..tag.len()).find(|at| tag.len() - at <= 255 && tag.is_char_boundary(*at)).unwrap_or(0);
        let tag = tag.get(cut..).unwrap_or_default().to_owned();
        let (weak, on) = (Rc::downgrade(self), channel.clone());
        // What was read on an earlier channel is the broker's again.
        self.inbox.forget();
        *self.channel.borrow_mut() = Some((channel.clone(), tag.clone()));
        let sink = Rc::new(move |delivery: Delivery| {
            if let Some(subscription) = weak.upgrade() {
                subscription.take_in(&on, delivery);
            }
        });
        channel.consume(&self.queue.name, &tag, Table::new(), sink).await.map_err(|e| failure(&e))
    }

    fn take_in(&self, channel: &Channel, delivery: Delivery) {
        let count = match delivery.properties.header("x-delivery-count") {
            Some(Value::Int(n)) => u32::try_from(*n).unwrap_or(0),
            _ => u32::from(delivery.redelivered),
        };
        let message = Message {
            id: String::new(),
            topic: self.queue.topic.clone(),
            metadata: if self.settings.show_properties { metadata(&delivery) } else { Metadata::new() },
            data: delivery.body,
            content_type: None,
            lane: self.settings.single.then(String::new),
            redeliveries: count,
        };
        if !self.inbox.put(message, delivery.tag) {
            let _ = channel.tell(&Method::Nack { tag: delivery.tag, multiple: false, requeue: true });
        }
    }

    /// Consumes again whenever the channel has ended.
    async fn keep(self: Rc<Self>) {
        loop {
            let current = self.channel.borrow().clone();
            if let Some((channel, _)) = current {
                let why = channel.over().await;
                self.inbox.forget();
                if self.inbox.is_ended() || self.client.is_closed() {
                    return;
                }
                log::warn(format!("rabbitmq pub/sub: subscriber for {} is reconnecting: {why}", self.queue.name));
            }
            loop {
                self.client.connected(Duration::from_secs(3600)).await;
                if self.inbox.is_ended() || self.client.is_closed() {
                    return;
                }
                match self.consume().await {
                    Ok(()) => break,
                    Err(error) => {
                        log::error(format!("rabbitmq pub/sub: error in subscriber for {}: {error:?}", self.queue.name));
                        time::sleep(self.settings.reconnect_wait.max(Duration::from_millis(100))).await;
                    }
                }
            }
        }
    }

    fn tell(&self, method: &Method) -> Result<(), Failure> {
        match &*self.channel.borrow() {
            Some((channel, _)) => channel.tell(method),
            None => Err(Failure::Lost),
        }
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Message> {
        let messages = self.inbox.receive(max, wait).await;
        if self.settings.auto_ack {
            // At most once: gone from the broker before the application sees it, but not before there is room for it here.
            for message in &messages {
                self.acknowledge(&message.id, Verdict::Ack);
            }
        }
        messages
    }

    fn acknowledge(&self, id: &str, verdict: Verdict) {
        let Some(tag) = self.inbox.settle(id) else { return };
        let method = match verdict {
            Verdict::Ack | Verdict::Drop => Method::Ack { tag, multiple: false },
            Verdict::Retry => Method::Nack { tag, multiple: false, requeue: self.settings.requeue },
        };
        // On a channel that is over the message is the broker's again, whatever the verdict.
        let _ = self.tell(&method);
    }

    pub fn settle(&self, verdicts: &[(String, Verdict)]) {
        for (id, verdict) in verdicts {
            self.acknowledge(id, *verdict);
        }
    }

    pub fn is_ended(&self) -> bool {
        self.inbox.is_ended()
    }

    /// Takes no more, and gives back what waits here. Verdicts on what the application has still come, and count. A queue that would go with its last consumer is kept until the successor is there.
    pub async fn end(&self) -> Option<Held> {
        if self.inbox.is_ended() {
            return None;
        }
        let current = self.channel.borrow().clone();
        let keep = self.settings.delete_when_unused && !self.client.is_closed();
        let hold = if keep { hold::begin(&self.client, &self.queue.name).await } else { None };
        if let Some((channel, tag)) = &current {
            let cancelled = time::timeout(PATIENCE, channel.call(&Method::Cancel { tag: tag.clone() })).await;
            if !matches!(cancelled, Some(Ok(_))) {
                log::debug(format!("rabbitmq pub/sub: failed to cancel consumer {tag}"));
            }
        }
        // The last first: each goes back to where it was, in front of those behind it.
        for tag in self.inbox.end().into_iter().rev() {
            let _ = self.tell(&Method::Nack { tag, multiple: false, requeue: true });
        }
        let held = match hold {
            Some(channel) => Some(hold::release(self.client.clone(), channel, &self.queue.name).await),
            None => None,
        };
        if self.settings.single {
            self.inbox.answered(IN_ORDER).await;
        }
        held
    }

    /// Nobody will answer any more: what is out goes back with the channel.
    pub async fn abandon(&self) -> Option<Held> {
        let held = self.end().await;
        self.inbox.abandon();
        let current = self.channel.borrow_mut().take();
        if let Some((channel, _)) = current {
            channel.close().await;
        }
        held
    }
}
