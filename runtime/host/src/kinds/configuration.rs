//! Configuration stores.

use super::calls;
pub use crate::wit::proa::configuration::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct ConfigurationStore<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn configuration(&self) -> ConfigurationStore<'_> {
        ConfigurationStore(self)
    }
}

calls! { ConfigurationStore, configuration, "configuration/store":
    get = call_get(keys: Vec<String>, metadata: Metadata) -> Result<Vec<Item>, Error>;
}

calls! { ConfigurationStore, configuration_watch, "configuration/watch":
    subscribe = call_subscribe(keys: Vec<String>, metadata: Metadata) -> Result<u64, Error>;
    receive = call_receive(subscription: u64, wait_ms: u32) -> Result<Vec<Item>, Error>;
    unsubscribe = call_unsubscribe(subscription: u64) -> Result<(), Error>;
}
