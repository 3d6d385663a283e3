//! Configuration stores: the traits of the `proa:configuration` interfaces. What each call means stands in `wit/configuration/configuration.wit`.

pub use crate::wit::configuration_types::proa::configuration::types::*;

pub mod store {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::configuration_store::exports::proa::configuration::store as export;
    pub use crate::wit::configuration_store::*;

    pub trait Store: Component {
        fn get(&self, keys: Vec<String>, metadata: Metadata) -> impl Future<Output = Result<Vec<Item>, Error>>;
    }

    impl<T: Store> export::Guest for Glue<T> {
        async fn get(keys: Vec<String>, metadata: Metadata) -> Result<Vec<Item>, Error> {
            <T as Store>::get(&*glue::get::<T>(), keys, metadata).await
        }
    }
}

pub mod watch {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::configuration_watch::exports::proa::configuration::watch as export;
    pub use crate::wit::configuration_watch::*;

    pub trait Watch: Component {
        fn subscribe(&self, keys: Vec<String>, metadata: Metadata) -> impl Future<Output = Result<u64, Error>>;
        fn receive(&self, subscription: u64, wait_ms: u32) -> impl Future<Output = Result<Vec<Item>, Error>>;
        fn unsubscribe(&self, subscription: u64) -> impl Future<Output = Result<(), Error>>;
    }

    impl<T: Watch> export::Guest for Glue<T> {
        async fn subscribe(keys: Vec<String>, metadata: Metadata) -> Result<u64, Error> {
            <T as Watch>::subscribe(&*glue::get::<T>(), keys, metadata).await
        }
        async fn receive(subscription: u64, wait_ms: u32) -> Result<Vec<Item>, Error> {
            <T as Watch>::receive(&*glue::get::<T>(), subscription, wait_ms).await
        }
        async fn unsubscribe(subscription: u64) -> Result<(), Error> {
            <T as Watch>::unsubscribe(&*glue::get::<T>(), subscription).await
        }
    }
}
