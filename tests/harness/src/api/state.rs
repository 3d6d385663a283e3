//! State over either transport. Values are bytes: over HTTP they must be JSON texts, as its API demands.

use bytes::Bytes;
use proa_protocol::common::v1::{Etag, StateItem, StateOptions};
use proa_protocol::runtime::v1 as pb;
use serde_json::{Value, json};

use super::{Api, ApiError, Pairs, Wire, accepted, metadata_query, pairs, segment};

/// One key to write, with everything that may go along.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub key: String,
    pub value: Value,
    pub etag: Option<String>,
    pub metadata: Pairs,
    /// `first-write`, `last-write` or empty.
    pub concurrency: &'static str,
}

/// What reading a key gave; an absent key has no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub value: Option<Bytes>,
    pub etag: Option<String>,
    pub metadata: Pairs,
}

/// One row of a bulk read.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkItem {
    pub key: String,
    pub value: Option<Value>,
    pub etag: Option<String>,
    pub error: String,
    pub metadata: Pairs,
}

/// One step of a transaction.
#[derive(Clone, Debug)]
pub enum Operation {
    Upsert(Item),
    Delete(Item),
}

impl Item {
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }

    pub fn etag(mut self, etag: &str) -> Self {
        self.etag = Some(etag.into());
        self
    }

    pub fn ttl(mut self, seconds: i64) -> Self {
        self.metadata.insert("ttlInSeconds".into(), seconds.to_string());
        self
    }

    pub fn first_write(mut self) -> Self {
        self.concurrency = "first-write";
        self
    }

    fn json(&self) -> Value {
        let mut item = json!({ "key": self.key, "value": self.value, "metadata": self.metadata });
        if let Some(etag) = &self.etag {
            item["etag"] = json!(etag);
        }
        if !self.concurrency.is_empty() {
            item["options"] = json!({ "concurrency": self.concurrency });
        }
        item
    }

    fn message(&self) -> StateItem {
        StateItem {
            key: self.key.clone(),
            value: self.value.to_string().into(),
            etag: self.etag.clone().map(|value| Etag { value }),
            metadata: self.metadata.clone().into_iter().collect(),
            options: self.options(),
        }
    }

    fn options(&self) -> Option<StateOptions> {
        let concurrency = match self.concurrency {
            "first-write" => 1,
            "last-write" => 2,
            _ => return None,
        };
        Some(StateOptions { concurrency, consistency: 0 })
    }
}

impl Found {
    /// The value as JSON; panics when there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value = self.value.as_ref().expect("a value");
        serde_json::from_slice(value).unwrap_or_else(|failure| panic!("{failure} in {value:?}"))
    }
}

impl Api {
    pub async fn save(&self, store: &str, items: &[Item]) -> Result<(), ApiError> {
        match self.wire {
            Wire::Http => {
                let body = Value::Array(items.iter().map(Item::json).collect());
                accepted(self.http.post(&format!("/v1.0/state/{}", segment(store)), &body).await).map(|reply| assert_eq!(reply.status, 204))
            }
            Wire::Grpc => {
                let request = pb::SaveStateRequest { store_name: store.into(), states: items.iter().map(Item::message).collect() };
                self.grpc.clone().save_state(self.call(request)).await?;
                Ok(())
            }
        }
    }

    /// Saves one value under one key and expects success.
    #[track_caller]
    pub fn put(&self, store: &str, key: &str, value: impl Into<Value>) -> impl Future<Output = ()> {
        let item = Item::new(key, value);
        let place = std::panic::Location::caller();
        async move { self.save(store, &[item]).await.unwrap_or_else(|error| panic!("{place}: {error:?}")) }
    }

    pub async fn get(&self, store: &str, key: &str) -> Result<Found, ApiError> {
        self.get_with(store, key, &[]).await
    }

    pub async fn get_with(&self, store: &str, key: &str, metadata: &[(&str, &str)]) -> Result<Found, ApiError> {
        let metadata = pairs(metadata);
        match self.wire {
            Wire::Http => {
                let path = format!("/v1.0/state/{}/{}{}", segment(store), segment(key), metadata_query(&metadata));
                let reply = accepted(self.http.get(&path).await)?;
                let etag = reply.header("etag").filter(|etag| !etag.is_empty());
                let found = reply.headers.iter().filter_map(|(name, value)| {
                    let name = name.as_str().strip_prefix("metadata.")?;
                    Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                });
                let metadata = found.collect();
                Ok(Found { value: (reply.status == 200).then_some(reply.body), etag, metadata })
            }
            Wire::Grpc => {
                let request =
                    pb::GetStateRequest { store_name: store.into(), key: key.into(), consistency: 0, metadata: metadata.into_iter().collect() };
                let reply = self.grpc.clone().get_state(self.call(request)).await?.into_inner();
                // Header names arrive in lower case over HTTP; the same here, so that both compare.
                let metadata = reply.metadata.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
                let value = (!reply.data.is_empty()).then_some(reply.data);
                Ok(Found { value, etag: Some(reply.etag).filter(|etag| !etag.is_empty()), metadata })
            }
        }
    }

    /// The value under `key` as JSON, null when there is none; expects success.
    pub async fn value(&self, store: &str, key: &str) -> Value {
        let found = self.get(store, key).await.unwrap_or_else(|error| panic!("get {store}/{key}: {error:?}"));
        if found.value.is_some() { found.json() } else { Value::Null }
    }

    /// Deletes one key; `etag` and the concurrency of `item` count, its value does not.
    pub async fn remove(&self, store: &str, item: &Item) -> Result<(), ApiError> {
        match self.wire {
            Wire::Http => {
                let mut path = format!("/v1.0/state/{}/{}{}", segment(store), segment(&item.key), metadata_query(&item.metadata));
                if !item.concurrency.is_empty() {
                    path.push_str(&format!("{}concurrency={}", if path.contains('?') { '&' } else { '?' }, item.concurrency));
                }
                let mut request = self.http.request("DELETE", &path);
                if let Some(etag) = &item.etag {
                    request = request.header("if-match", etag);
                }
                accepted(request.send().await).map(|reply| assert_eq!(reply.status, 204))
            }
            Wire::Grpc => {
                let request = pb::DeleteStateRequest {
                    store_name: store.into(),
                    key: item.key.clone(),
                    etag: item.etag.clone().map(|value| Etag { value }),
                    options: item.options(),
                    metadata: item.metadata.clone().into_iter().collect(),
                };
                self.grpc.clone().delete_state(self.call(request)).await?;
                Ok(())
            }
        }
    }

    pub async fn bulk_get(&self, store: &str, keys: &[&str]) -> Result<Vec<BulkItem>, ApiError> {
        match self.wire {
            Wire::Http => {
                let body = json!({ "keys": keys, "parallelism": 4 });
                let reply = accepted(self.http.post(&format!("/v1.0/state/{}/bulk", segment(store)), &body).await)?;
                assert_eq!(reply.status, 200);
                Ok(reply.json().as_array().expect("an array").iter().map(bulk_item).collect())
            }
            Wire::Grpc => {
                let request = pb::GetBulkStateRequest {
                    store_name: store.into(),
                    keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                    parallelism: 4,
                    metadata: Default::default(),
                };
                let reply = self.grpc.clone().get_bulk_state(self.call(request)).await?.into_inner();
                let row = |item: pb::BulkStateItem| BulkItem {
                    key: item.key,
                    value: (!item.data.is_empty()).then(|| serde_json::from_slice(&item.data).expect("a JSON value")),
                    etag: Some(item.etag).filter(|etag| !etag.is_empty()),
                    error: item.error,
                    metadata: item.metadata.into_iter().collect(),
                };
                Ok(reply.items.into_iter().map(row).collect())
            }
        }
    }

    pub async fn transact(&self, store: &str, operations: &[Operation], metadata: &[(&str, &str)]) -> Result<(), ApiError> {
        let named = |operation: &Operation| match operation {
            Operation::Upsert(item) => ("upsert", item.clone()),
            Operation::Delete(item) => ("delete", item.clone()),
        };
        match self.wire {
            Wire::Http => {
                let steps: Vec<Value> =
                    operations.iter().map(named).map(|(name, item)| json!({ "operation": name, "request": item.json() })).collect();
                let body = json!({ "operations": steps, "metadata": pairs(metadata) });
                accepted(self.http.post(&format!("/v1.0/state/{}/transaction", segment(store)), &body).await)
                    .map(|reply| assert_eq!(reply.status, 204))
            }
            Wire::Grpc => {
                let steps = operations.iter().map(named);
                let steps = steps.map(|(name, item)| pb::TransactionalStateOperation { operation_type: name.into(), request: Some(item.message()) });
                let request = pb::ExecuteStateTransactionRequest {
                    store_name: store.into(),
                    operations: steps.collect(),
                    metadata: pairs(metadata).into_iter().collect(),
                };
                self.grpc.clone().execute_state_transaction(self.call(request)).await?;
                Ok(())
            }
        }
    }
}

fn bulk_item(row: &Value) -> BulkItem {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let metadata = row.get("metadata").and_then(Value::as_object).into_iter().flatten();
    BulkItem {
        key: text("key").expect("a key"),
        value: row.get("data").cloned().filter(|data| !data.is_null()),
        etag: text("etag").filter(|etag| !etag.is_empty()),
        error: text("error").unwrap_or_default(),
        metadata: metadata.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
    }
}
