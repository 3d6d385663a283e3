//! Message brokers.

use super::calls;
pub use crate::wit::exports::proa::pubsub::bulk_publisher::Entry;
pub use crate::wit::exports::proa::pubsub::subscriber::SubscribeRequest;
pub use crate::wit::proa::pubsub::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Pubsub<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn pubsub(&self) -> Pubsub<'_> {
        Pubsub(self)
    }
}

calls! { Pubsub, publisher, "pubsub/publisher", RemotePublisher:
    publish = call_publish(request: PublishRequest) -> Result<(), Error>;
}

calls! { Pubsub, bulk_publisher, "pubsub/bulk-publisher", RemoteBulkPublisher:
    publish_bulk = call_publish_bulk(topic: String, entries: Vec<Entry>, metadata: Metadata) -> Result<Vec<(String, Error)>, Error>;
}

calls! { Pubsub, subscriber, "pubsub/subscriber", RemoteSubscriber:
    subscribe = call_subscribe(request: SubscribeRequest) -> Result<u64, Error>;
    receive = call_receive(subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error>;
    settle = call_settle(subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error>;
    unsubscribe = call_unsubscribe(subscription: u64) -> Result<(), Error>;
}

impl Pubsub<'_> {
    /// Asks a broker elsewhere to hand out nothing more, to anybody. A module needs no such call: it is not asked for messages any more.
    pub async fn pause(&self) -> Result<(), crate::CallError> {
        match self.0.elsewhere() {
            Some(elsewhere) => elsewhere.pause().await,
            None => Ok(()),
        }
    }
}
