//! Claims `state.wrong-world` in its manifest, yet exports the interface of a secret store.

use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::secretstores::{Error, Metadata, Secret, store::Store};

struct WrongWorld;

impl Component for WrongWorld {
    async fn init(_config: Config) -> Result<Self, InitError> {
        Ok(Self)
    }
}

impl Store for WrongWorld {
    async fn get(&self, name: String, _metadata: Metadata) -> Result<Secret, Error> {
        Err(Error::NotFound(name))
    }
    async fn get_all(&self, _metadata: Metadata) -> Result<Vec<(String, Secret)>, Error> {
        Ok(Vec::new())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    WrongWorld: secretstores::store
}
