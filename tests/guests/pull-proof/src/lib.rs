//! `pubsub.pull-proof`: proves that one instance serves `subscribe`, `publish`, `settle` and the `receive` of other subscriptions while a
//! `receive` waits. Each message says how often that has happened so far: in its metadata and, when its data is a CloudEvent,
//! in attributes of the same names: `proofopen` (most calls open at a time), `proofwaiting` (most receives waiting at a time), `proofsubscribed`,
//! `proofpublished`, `proofsettled`, `proofreceived` (calls that came while a receive waited), `proofmark`.
//! Publishing to a topic without subscribers loses the message.

mod counts;
mod queues;

use counts::Counts;
use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::pubsub::{Error, Message, PublishRequest, Verdict, publisher::Publisher, subscriber::SubscribeRequest, subscriber::Subscriber};
use queues::{Found, Queues};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

struct Proof {
    queues: RefCell<Queues>,
    counts: Rc<Counts>,
    published: Cell<u64>,
    mark: String,
}

impl Component for Proof {
    async fn init(config: Config) -> Result<Self, InitError> {
        let mark = Properties::from(&config).get("mark").unwrap_or_default().to_owned();
        Ok(Self { queues: RefCell::default(), counts: Rc::default(), published: Cell::new(0), mark })
    }
}

impl Proof {
    fn told(&self) -> Vec<(String, String)> {
        let mut told = self.counts.report();
        told.push(("proofmark".to_owned(), self.mark.clone()));
        told
    }

    /// The message as it leaves: with the counts of this moment.
    fn stamped(&self, mut message: Message) -> Message {
        let told = self.told();
        if let Ok(serde_json::Value::Object(mut event)) = serde_json::from_slice(&message.data)
            && event.contains_key("specversion")
        {
            event.extend(told.iter().map(|(name, value)| (name.clone(), value.clone().into())));
            message.data = serde_json::Value::Object(event).to_string().into_bytes();
        }
        message.metadata.extend(told);
        message
    }
}

impl Publisher for Proof {
    async fn publish(&self, request: PublishRequest) -> Result<(), Error> {
        let _open = self.counts.begin(|c| &c.published, false);
        self.published.set(self.published.get() + 1);
        self.queues.borrow_mut().publish(Message {
            id: self.published.get().to_string(),
            topic: request.topic,
            data: request.data,
            content_type: request.content_type,
            lane: request.metadata.iter().find(|(name, _)| name == "partitionKey").map(|(_, value)| value.clone()),
            metadata: request.metadata,
            redeliveries: 0,
        });
        Ok(())
    }
}

impl Subscriber for Proof {
    async fn subscribe(&self, request: SubscribeRequest) -> Result<u64, Error> {
        let _open = self.counts.begin(|c| &c.subscribed, false);
        Ok(self.queues.borrow_mut().subscribe(request.topic))
    }

    async fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
        let _open = self.counts.begin(|c| &c.received, true);
        let messages = std::future::poll_fn(|cx| match self.queues.borrow_mut().take(subscription, max as usize, cx.waker()) {
            Found::Messages(messages) => Poll::Ready(Ok(messages)),
            Found::Nothing => Poll::Pending,
            Found::Gone => Poll::Ready(Err(Error::NotFound(format!("no subscription {subscription}")))),
        });
        let messages = proa_sdk::time::timeout(Duration::from_millis(wait_ms.into()), messages).await.unwrap_or(Ok(Vec::new()))?;
        Ok(messages.into_iter().map(|m| self.stamped(m)).collect())
    }

    async fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        let _open = self.counts.begin(|c| &c.settled, false);
        self.queues.borrow_mut().settle(subscription, verdicts);
        Ok(())
    }

    async fn unsubscribe(&self, subscription: u64) -> Result<(), Error> {
        self.queues.borrow_mut().unsubscribe(subscription);
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Proof: pubsub::publisher, pubsub::subscriber
}
