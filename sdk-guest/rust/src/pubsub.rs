//! Message brokers: the traits of the `proa:pubsub` interfaces. What each call means stands in `wit/pubsub/pubsub.wit`.

pub use crate::wit::pubsub_types::proa::pubsub::types::*;

pub mod publisher {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::pubsub_publisher::exports::proa::pubsub::publisher as export;
    pub use crate::wit::pubsub_publisher::*;

    pub trait Publisher: Component {
        fn publish(&self, request: PublishRequest) -> impl Future<Output = Result<(), Error>>;
    }

    impl<T: Publisher> export::Guest for Glue<T> {
        async fn publish(request: PublishRequest) -> Result<(), Error> {
            <T as Publisher>::publish(&*glue::get::<T>(), request).await
        }
    }
}

pub mod bulk_publisher {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::pubsub_bulk_publisher::exports::proa::pubsub::bulk_publisher as export;
    pub use crate::wit::pubsub_bulk_publisher::*;

    pub use export::Entry;

    pub trait BulkPublisher: Component {
        fn publish_bulk(&self, topic: String, entries: Vec<Entry>, metadata: Metadata) -> impl Future<Output = Result<Vec<(String, Error)>, Error>>;
    }

    impl<T: BulkPublisher> export::Guest for Glue<T> {
        async fn publish_bulk(topic: String, entries: Vec<Entry>, metadata: Metadata) -> Result<Vec<(String, Error)>, Error> {
            <T as BulkPublisher>::publish_bulk(&*glue::get::<T>(), topic, entries, metadata).await
        }
    }
}

pub mod subscriber {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::pubsub_subscriber::exports::proa::pubsub::subscriber as export;
    pub use crate::wit::pubsub_subscriber::*;

    pub use export::SubscribeRequest;

    pub trait Subscriber: Component {
        fn subscribe(&self, request: SubscribeRequest) -> impl Future<Output = Result<u64, Error>>;
        fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> impl Future<Output = Result<Vec<Message>, Error>>;
        fn settle(&self, subscription: u64, verdicts: Vec<(String, Verdict)>) -> impl Future<Output = Result<(), Error>>;
        fn unsubscribe(&self, subscription: u64) -> impl Future<Output = Result<(), Error>>;
    }

    impl<T: Subscriber> export::Guest for Glue<T> {
        async fn subscribe(request: SubscribeRequest) -> Result<u64, Error> {
            <T as Subscriber>::subscribe(&*glue::get::<T>(), request).await
        }
        async fn receive(subscription: u64, max: u32, wait_ms: u32) -> Result<Vec<Message>, Error> {
            <T as Subscriber>::receive(&*glue::get::<T>(), subscription, max, wait_ms).await
        }
        async fn settle(subscription: u64, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
            <T as Subscriber>::settle(&*glue::get::<T>(), subscription, verdicts).await
        }
        async fn unsubscribe(subscription: u64) -> Result<(), Error> {
            <T as Subscriber>::unsubscribe(&*glue::get::<T>(), subscription).await
        }
    }
}
