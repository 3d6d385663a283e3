//! `state.etcd`: state in an etcd cluster, through the JSON gateway of its v3 API, in the layouts of Dapr's versions v1 and v2.
//!
//! The etag is the revision in which a key was written last; expiry is a lease. Starting needs no server. A call has five seconds in all.

mod gateway;
mod keys;
mod schema;
mod settings;
mod several;
mod wire;
mod write;

use gateway::Gateway;
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::state::{
    DeleteRequest, Error, GetRequest, Item, Metadata, Operation, SetRequest,
    bulk::Bulk,
    list_keys::{ListKeys, Page},
    store::Store,
    transactions::Transactions,
};
use schema::Schema;
use settings::Settings;
use std::cell::Cell;
use wire::{Found, Range};
use write::Change;

struct Etcd {
    gateway: Gateway,
    schema: Schema,
    prefix: String,
    max_operations: u32,
}

thread_local! {
    /// The host asks for it without naming the component, which is the only one of its instance, after `init`.
    static MAX_OPERATIONS: Cell<u32> = const { Cell::new(0) };
}

impl Etcd {
    /// The key as it stands in the store.
    fn full(&self, key: &str) -> String {
        format!("{}/{key}", self.prefix)
    }

    fn item(&self, found: Found) -> Result<Option<Item>, Error> {
        let Some(kv) = found.kvs.into_iter().next() else { return Ok(None) };
        let value = self.schema.decode(kv.value).map_err(|e| Error::Other(e.to_string()))?;
        let metadata = value.expires.map(|t| ("ttlExpireTime".to_owned(), t)).into_iter().collect();
        Ok(Some(Item { value: value.data, etag: Some(kv.mod_revision.to_string()), content_type: None, metadata }))
    }
}

impl Component for Etcd {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&config)?;
        MAX_OPERATIONS.set(settings.max_operations);
        let schema = if config.version == "v2" { Schema::V2 } else { Schema::V1 };
        Ok(Self { gateway: Gateway::new(&settings), schema, prefix: settings.prefix, max_operations: settings.max_operations })
    }

    async fn close(&self) {
        self.gateway.close();
    }
}

impl Health for Etcd {
    async fn ping(&self) -> Result<(), String> {
        let answer = self.gateway.call::<Found>("/v3/kv/range", &Range::one("health"), true).await;
        answer.map(|_| ()).map_err(|e| format!("etcd store: error connecting to etcd at {}: {e}", self.gateway.names()))
    }
}

impl Store for Etcd {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        let key = self.full(&request.key);
        let found = self.gateway.call::<Found>("/v3/kv/range", &Range::one(&key), true).await;
        self.item(found.map_err(|f| f.of(&format!("couldn't get key {key}")))?)
    }
    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        self.apply(&[Change::set(self, request)?]).await
    }
    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        self.apply(&[Change::delete(self, request)]).await
    }
}

impl Transactions for Etcd {
    async fn transact(&self, operations: Vec<Operation>, _metadata: Metadata) -> Result<(), Error> {
        let changes = operations.into_iter().map(|o| Change::of(self, o)).collect::<Result<Vec<_>, _>>()?;
        self.apply(&changes).await
    }
    fn max_operations() -> u32 {
        MAX_OPERATIONS.get()
    }
}

impl Bulk for Etcd {
    async fn get_bulk(&self, requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>> {
        self.read_each(&requests).await
    }
    async fn set_bulk(&self, requests: Vec<SetRequest>) -> Vec<Result<(), Error>> {
        self.write_each(requests.into_iter().map(|r| Change::set(self, r)).collect()).await
    }
    async fn delete_bulk(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>> {
        self.write_each(requests.into_iter().map(|r| Ok(Change::delete(self, r))).collect()).await
    }
}

impl ListKeys for Etcd {
    async fn list_keys(&self, pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error> {
        self.list(&pattern, page_size, token.as_deref()).await
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Etcd: state::store, state::transactions, state::bulk, state::list_keys, component::health
}
