//! `state.redis`: state in Redis hashes, laid out as Dapr lays them out, so that both can serve the same data.
//!
//! A key is a hash of `data`, `version` (the etag) and, once written with first-write, `first-write`. With the RedisJSON module, values
//! written as `application/json` are JSON documents `{"data", "version"}` instead. Reads are one command, writes one script; calls share
//! one pipelined connection. Transactions are one script as well: all checks come before the first change.

mod keys;
mod layout;
mod scripts;
mod write;

use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::state::{
    DeleteRequest, Error, GetRequest, Item, Metadata, Operation, SetRequest,
    bulk::Bulk,
    list_keys::{ListKeys, Page},
    store::Store,
    transactions::Transactions,
};
use redis_core::{Client, Command, Family, Settings, Value};
use scripts::Scripts;

struct Redis {
    client: Client,
    scripts: Scripts,
    /// The server has the RedisJSON module.
    json: bool,
    /// Replicas that a strongly consistent write waits for.
    replicas: u32,
}

/// How a failure of the client looks to the host.
fn failure(error: redis_core::Error) -> Error {
    let text = error.to_string();
    if error.is_unavailable() { Error::Unavailable(text) } else { Error::Other(text) }
}

fn is_json(metadata: &Metadata) -> bool {
    metadata.iter().any(|(n, v)| n.eq_ignore_ascii_case("contentType") && v == "application/json")
}

impl Component for Redis {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&config, Family::State)?;
        let host = settings.host.clone();
        let away = |e: redis_core::Error| InitError::Unavailable(format!("redis store: error connecting to redis at {host}: {e}"));
        if settings.state.query_indexes.is_some() {
            proa_sdk::log::warn("queryIndexes: this component does not offer the query API; the indexes are not created");
        }
        let client = Client::connect(settings).await.map_err(away)?;
        client.ping().await.map_err(away)?;
        let info = client.call(&Command::new("INFO").arg("replication")).await.map_err(away)?;
        let json = !matches!(client.call(&Command::new("JSON.GET")).await, Err(redis_core::Error::Server(t)) if t.starts_with("ERR unknown command"));
        Ok(Self { scripts: Scripts::new(), json, replicas: connected_replicas(&info.into_text().unwrap_or_default()), client })
    }

    async fn close(&self) {
        self.client.close().await;
    }
}

fn connected_replicas(info: &str) -> u32 {
    info.lines().find_map(|l| l.trim().strip_prefix("connected_slaves:")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Health for Redis {
    async fn ping(&self) -> Result<(), String> {
        self.client.ping().await.map_err(|e| format!("redis store: error connecting to redis at {}: {e}", self.client.settings().host))
    }
}

impl Redis {
    fn reads_json(&self, request: &GetRequest) -> bool {
        self.json && is_json(&request.metadata)
    }

    fn read_command(&self, request: &GetRequest) -> Command {
        if self.reads_json(request) { Command::new("JSON.GET").key(&request.key) } else { Command::new("HGETALL").key(&request.key) }
    }

    async fn item(&self, request: &GetRequest, reply: Result<Value, redis_core::Error>) -> Result<Option<Item>, Error> {
        match reply {
            Ok(value) if self.reads_json(request) => layout::from_json(value),
            Ok(value) => layout::from_hash(value),
            // Not a hash: a plain string that something else has written.
            Err(redis_core::Error::Server(text)) if text.starts_with("WRONGTYPE") && !self.reads_json(request) => {
                let value = self.client.call(&Command::new("GET").key(&request.key)).await.map_err(failure)?;
                Ok(value.into_bytes().map(|data| layout::item(data, None)))
            }
            Err(error) => Err(failure(error)),
        }
    }
}

impl Store for Redis {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        let reply = self.client.call(&self.read_command(&request)).await;
        self.item(&request, reply).await
    }
    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        self.write(&write::Write::set(self, &request)?).await
    }
    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        self.write(&write::Write::delete(self, &request)).await
    }
}

impl Transactions for Redis {
    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<(), Error> {
        let all_json = is_json(&metadata);
        let mut writes = Vec::with_capacity(operations.len());
        for operation in &operations {
            writes.push(match operation {
                Operation::Set(set) => write::Write::set(self, set)?.json_too(self.json && all_json, set),
                Operation::Delete(delete) => write::Write::delete(self, delete).into_json(self.json && all_json),
            });
        }
        self.write_all_or_none(&writes).await
    }
    fn max_operations() -> u32 {
        0
    }
}

impl Bulk for Redis {
    async fn get_bulk(&self, requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>> {
        let commands: Vec<_> = requests.iter().map(|r| self.read_command(r)).collect();
        let replies = match self.client.pipeline(&commands).await {
            Ok(replies) => replies,
            Err(error) => {
                let error = failure(error);
                return requests.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let mut out = Vec::with_capacity(requests.len());
        for (request, reply) in requests.iter().zip(replies) {
            out.push(self.item(request, reply.into_result()).await);
        }
        out
    }
    async fn set_bulk(&self, requests: Vec<SetRequest>) -> Vec<Result<(), Error>> {
        let writes = requests.iter().map(|r| write::Write::set(self, r)).collect();
        self.write_each(writes).await
    }
    async fn delete_bulk(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>> {
        let writes = requests.iter().map(|r| Ok(write::Write::delete(self, r))).collect();
        self.write_each(writes).await
    }
}

impl ListKeys for Redis {
    async fn list_keys(&self, pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error> {
        keys::list(&self.client, &pattern, page_size, token.as_deref()).await
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Redis: state::store, state::transactions, state::bulk, state::list_keys, component::health
}
