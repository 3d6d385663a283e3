//! State stores: keys with their prefix, values with their encoding and encryption, one item or many.

mod several;
mod value;

use crate::call::{Operation as CallOperation, call};
use crate::metrics::Family;
use crate::options::Cx;
use crate::prepare::{KeyPrefix, Prepared};
use crate::runtime::Runtime;
use crate::slots::{Current, Slot};
use bytes::Bytes;
use futures::stream::{StreamExt, iter};
use proa_host::CallError;
use proa_host::kinds::state as store;
use proa_host::manifest::Kind;
use proa_model::error::state::Outcome;
use proa_model::{Error, Metadata, error, lookup};
use several::Several;
use std::sync::Arc;
pub use value::{Value, items_of_json};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    #[default]
    Unspecified,
    Eventual,
    Strong,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    #[default]
    Unspecified,
    FirstWrite,
    LastWrite,
}

pub struct GetRequest {
    pub store: String,
    pub key: String,
    pub consistency: Consistency,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    pub key: String,
    pub data: Bytes,
    pub etag: Option<String>,
    pub metadata: Metadata,
    /// Of a bulk read: why this key could not be read.
    pub error: Option<String>,
}

#[derive(Clone, Debug)]
pub struct SetItem {
    pub key: String,
    pub value: Value,
    pub etag: Option<String>,
    pub metadata: Metadata,
    pub concurrency: Concurrency,
    pub consistency: Consistency,
}

#[derive(Clone, Debug)]
pub struct DeleteItem {
    pub key: String,
    pub etag: Option<String>,
    pub metadata: Metadata,
    pub concurrency: Concurrency,
    pub consistency: Consistency,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Set(SetItem),
    Delete(DeleteItem),
}

#[derive(Clone, Debug, Default)]
pub struct QueryResult {
    pub items: Vec<Item>,
    pub token: Option<String>,
    pub metadata: Metadata,
}

impl From<Consistency> for store::Consistency {
    fn from(c: Consistency) -> Self {
        match c {
            Consistency::Unspecified => Self::Unspecified,
            Consistency::Eventual => Self::Eventual,
            Consistency::Strong => Self::Strong,
        }
    }
}

impl From<Concurrency> for store::Concurrency {
    fn from(c: Concurrency) -> Self {
        match c {
            Concurrency::Unspecified => Self::Unspecified,
            Concurrency::FirstWrite => Self::FirstWrite,
            Concurrency::LastWrite => Self::LastWrite,
        }
    }
}

/// A store's failure in words, and what kind it is.
pub(crate) fn failure(error: store::Error) -> (Outcome, String) {
    let with = |prefix: &str, cause: String| if cause.is_empty() { prefix.to_owned() } else { format!("{prefix}: {cause}") };
    match error {
        store::Error::EtagMismatch(why) => (Outcome::EtagMismatch, with("possible etag mismatch. error from state store", why)),
        store::Error::EtagInvalid(why) => (Outcome::EtagInvalid, with("invalid etag value", why)),
        store::Error::InvalidArgument(why) | store::Error::Unavailable(why) | store::Error::Other(why) => (Outcome::Other, why),
    }
}

/// The store and what it is now, or why there is none.
pub fn find(runtime: &Runtime, name: &str) -> Result<(Arc<Slot>, Arc<Current>), Error> {
    let app_id = &runtime.options().app_id;
    if let Some(slot) = runtime.slots.find(Kind::State, name)
        && let Some(current) = slot.peek()
    {
        return Ok((slot, current));
    }
    if runtime.slots.any(Kind::State) { Err(error::state::not_found(name, app_id)) } else { Err(error::state::not_configured(name, app_id)) }
}

fn full_key(name: &str, prepared: &Prepared, key: &str) -> Result<String, Error> {
    if key.contains("||") {
        return Err(error::state::illegal_key(name, key));
    }
    Ok(match &prepared.key_prefix {
        KeyPrefix::None => key.to_owned(),
        KeyPrefix::Text(prefix) if prefix.is_empty() => key.to_owned(),
        KeyPrefix::Text(prefix) => format!("{prefix}||{key}"),
    })
}

fn decrypt(name: &str, prepared: &Prepared, data: Vec<u8>) -> Result<Vec<u8>, String> {
    match &prepared.encryption {
        None => Ok(data),
        Some(keys) => keys.decrypt(name, &data),
    }
}

fn item(name: &str, prepared: &Prepared, key: &str, found: store::Item) -> Result<Item, String> {
    let data = decrypt(name, prepared, found.value)?;
    Ok(Item { key: key.to_owned(), data: data.into(), etag: found.etag, metadata: found.metadata, error: None })
}

/// None: there is no such key.
pub async fn get(runtime: &Runtime, cx: &Cx, request: GetRequest) -> Result<Option<Item>, Error> {
    let (slot, current) = find(runtime, &request.store)?;
    let full = full_key(&request.store, &current.prepared, &request.key)?;
    drop(current);
    let operation = CallOperation { family: Family::State, name: "get", read: true };
    let failed = |why: &str| error::state::get(&request.key, &request.store, why);
    let answer = call(runtime, &slot, operation, |lease| {
        let wanted = store::GetRequest { key: full.clone(), consistency: request.consistency.into(), metadata: request.metadata.clone() };
        async move {
            let answer = lease.generation.state().get(wanted).await?;
            Ok(answer.map(|found| (found, lease)))
        }
    });
    let (found, lease) = answer.await.map_err(|e| e.shown(cx, failed(&e.to_string())))?.map_err(|e| failed(&failure(e).1))?;
    let Some(found) = found else { return Ok(None) };
    item(&request.store, &lease.prepared, &request.key, found).map(Some).map_err(|why| failed(&why))
}

fn set_request(name: &str, prepared: &Prepared, item: &SetItem) -> Result<store::SetRequest, Error> {
    let key = full_key(name, prepared, &item.key)?;
    let content_type = lookup(&item.metadata, "contentType").map(str::to_owned);
    let (value, encoding) =
        item.value.stored(prepared.encryption.as_ref(), content_type.as_deref()).map_err(|why| error::state::save(name, Outcome::Other, &why))?;
    Ok(store::SetRequest {
        key,
        value,
        encoding,
        etag: item.etag.clone(),
        concurrency: item.concurrency.into(),
        consistency: item.consistency.into(),
        content_type,
        metadata: item.metadata.clone(),
    })
}

fn delete_request(name: &str, prepared: &Prepared, item: &DeleteItem) -> Result<store::DeleteRequest, Error> {
    Ok(store::DeleteRequest {
        key: full_key(name, prepared, &item.key)?,
        etag: item.etag.clone(),
        concurrency: item.concurrency.into(),
        consistency: item.consistency.into(),
        metadata: item.metadata.clone(),
    })
}

pub async fn save(runtime: &Runtime, cx: &Cx, name: &str, items: Vec<SetItem>) -> Result<(), Error> {
    let (slot, current) = find(runtime, name)?;
    let requests = items.iter().map(|i| set_request(name, &current.prepared, i)).collect::<Result<Vec<_>, _>>()?;
    drop(current);
    let failed = |(outcome, why): (Outcome, String)| error::state::save(name, outcome, &why);
    let operation = CallOperation { family: Family::State, name: "set", read: false };
    let several = Several::new(requests);
    let answer = call(runtime, &slot, operation, |lease| {
        let (several, requests) = (&several, several.left());
        async move { Ok::<_, CallError>(several.settle(set_all(&lease, requests).await?)) }
    });
    answer.await.map_err(|e| e.shown(cx, failed((Outcome::Other, e.to_string()))))?.map_err(failed)
}

async fn set_all(lease: &Current, mut requests: Vec<store::SetRequest>) -> Result<Vec<Result<(), store::Error>>, CallError> {
    let state = lease.generation.state();
    if requests.len() == 1
        && let Some(one) = requests.pop()
    {
        return Ok(vec![state.set(one).await?]);
    }
    if lease.generation.offers("state/bulk") {
        return state.set_bulk(requests).await;
    }
    each(requests, |r| async move { state.set(r).await }).await
}

async fn delete_all(lease: &Current, mut requests: Vec<store::DeleteRequest>) -> Result<Vec<Result<(), store::Error>>, CallError> {
    let state = lease.generation.state();
    if requests.len() == 1
        && let Some(one) = requests.pop()
    {
        return Ok(vec![state.delete(one).await?]);
    }
    if lease.generation.offers("state/bulk") {
        return state.delete_bulk(requests).await;
    }
    each(requests, |r| async move { state.delete(r).await }).await
}

/// Calls side by side, ten at a time, outcomes in order.
async fn each<T, R, Fut>(requests: Vec<T>, one: impl Fn(T) -> Fut) -> Result<Vec<R>, CallError>
where
    Fut: Future<Output = Result<R, CallError>>,
{
    let outcomes: Vec<_> = iter(requests.into_iter().map(one)).buffered(10).collect().await;
    outcomes.into_iter().collect()
}

pub async fn delete(runtime: &Runtime, cx: &Cx, name: &str, item: DeleteItem) -> Result<(), Error> {
    let key = item.key.clone();
    delete_with(runtime, cx, name, vec![item], "delete", &|outcome, why| error::state::delete(&key, outcome, why)).await
}

pub async fn delete_bulk(runtime: &Runtime, cx: &Cx, name: &str, items: Vec<DeleteItem>) -> Result<(), Error> {
    delete_with(runtime, cx, name, items, "bulk_delete", &|outcome, why| error::state::delete_bulk(name, outcome, why)).await
}

async fn delete_with(
    runtime: &Runtime,
    cx: &Cx,
    name: &str,
    items: Vec<DeleteItem>,
    label: &'static str,
    failed: &(dyn Fn(Outcome, &str) -> Error + Sync),
) -> Result<(), Error> {
    let (slot, current) = find(runtime, name)?;
    let requests = items.iter().map(|i| delete_request(name, &current.prepared, i)).collect::<Result<Vec<_>, _>>()?;
    drop(current);
    let operation = CallOperation { family: Family::State, name: label, read: false };
    let several = Several::new(requests);
    let answer = call(runtime, &slot, operation, |lease| {
        let (several, requests) = (&several, several.left());
        async move { Ok::<_, CallError>(several.settle(delete_all(&lease, requests).await?)) }
    });
    let outcome = answer.await.map_err(|e| e.shown(cx, failed(Outcome::Other, &e.to_string())))?;
    outcome.map_err(|(outcome, why)| failed(outcome, &why))
}

/// One item a key, in the order of the keys.
pub async fn get_bulk(runtime: &Runtime, cx: &Cx, name: &str, keys: Vec<String>, parallelism: i32, metadata: Metadata) -> Result<Vec<Item>, Error> {
    let (slot, current) = find(runtime, name)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let full = keys.iter().map(|k| full_key(name, &current.prepared, k)).collect::<Result<Vec<_>, _>>()?;
    drop(current);
    let width = usize::try_from(parallelism).ok().filter(|p| *p > 0).unwrap_or(10);
    let operation = CallOperation { family: Family::State, name: "bulk_get", read: true };
    let answer = call(runtime, &slot, operation, |lease| {
        let request = |key: &String| store::GetRequest { key: key.clone(), consistency: store::Consistency::Unspecified, metadata: metadata.clone() };
        let requests: Vec<_> = full.iter().map(request).collect();
        async move {
            let state = lease.generation.state();
            let outcomes = if lease.generation.offers("state/bulk") {
                state.get_bulk(requests).await?
            } else {
                let calls = requests.into_iter().map(|r| async move { state.get(r).await });
                iter(calls).buffered(width).collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>()?
            };
            Ok(Ok::<_, store::Error>((outcomes, lease)))
        }
    });
    let failed = |why: &str| error::state::get_bulk(why);
    let (outcomes, lease) = answer.await.map_err(|e| e.shown(cx, failed(&e.to_string())))?.map_err(|e| failed(&failure(e).1))?;
    let read = |(key, outcome): (String, Result<Option<store::Item>, store::Error>)| match outcome {
        Ok(None) => Item { key, ..Item::default() },
        Ok(Some(found)) => item(name, &lease.prepared, &key, found).unwrap_or_else(|why| Item { key, error: Some(why), ..Item::default() }),
        Err(e) => Item { key, error: Some(failure(e).1), ..Item::default() },
    };
    Ok(keys.into_iter().zip(outcomes).map(read).collect())
}

pub async fn transact(runtime: &Runtime, cx: &Cx, name: &str, mut operations: Vec<Operation>, metadata: Metadata) -> Result<(), Error> {
    let (slot, current) = find(runtime, name)?;
    if !current.generation.offers("state/transactions") {
        return Err(error::state::transactions_not_supported(name));
    }
    if operations.is_empty() {
        return Ok(());
    }
    let max = current.generation.state().max_operations().await;
    if max > 0 && operations.len() > max as usize {
        return Err(error::state::too_many_operations(name, operations.len(), max));
    }
    let prepared = |operation: &Operation| match operation {
        Operation::Set(item) => set_request(name, &current.prepared, item).map(store::Operation::Set),
        Operation::Delete(item) => delete_request(name, &current.prepared, item).map(store::Operation::Delete),
    };
    let mut requests = operations.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    if let Some(outbox) = &current.prepared.outbox {
        // Nothing is told of a transaction that cannot even be written down.
        let markers = crate::outbox::announce(runtime, cx, outbox, current.prepared.encryption.as_ref(), &mut operations).await?;
        requests = operations.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
        requests.extend(markers.into_iter().map(marker));
    }
    drop(current);
    let operation = CallOperation { family: Family::State, name: "transaction", read: false };
    let answer = call(runtime, &slot, operation, |lease| {
        let (requests, metadata) = (requests.clone(), metadata.clone());
        async move { lease.generation.state().transact(requests, metadata).await }
    });
    let failed = |why: &str| error::state::transaction(why);
    answer.await.map_err(|e| failed(&e.to_string()))?.map_err(|e| failed(&failure(e).1))
}

/// The item that tells the relay of an outbox that its transaction has taken place. Its key has no prefix, as in Dapr.
fn marker(key: String) -> store::Operation {
    store::Operation::Set(store::SetRequest {
        key,
        value: b"0".to_vec(),
        encoding: store::Encoding::Bytes,
        etag: None,
        concurrency: store::Concurrency::Unspecified,
        consistency: store::Consistency::Unspecified,
        content_type: None,
        metadata: Metadata::new(),
    })
}

pub async fn query(runtime: &Runtime, _cx: &Cx, name: &str, query: Bytes, metadata: Metadata) -> Result<QueryResult, Error> {
    let (slot, current) = find(runtime, name)?;
    if !current.generation.offers("state/query") {
        return Err(error::state::query_not_supported(name));
    }
    if current.prepared.encryption.is_some() {
        return Err(error::state::query_failed(name, &format!("cannot query encrypted store {name}")));
    }
    drop(current);
    let text = String::from_utf8(query.to_vec()).map_err(|e| error::state::query_failed(name, &e.to_string()))?;
    let operation = CallOperation { family: Family::State, name: "query", read: true };
    let answer = call(runtime, &slot, operation, |lease| {
        let (text, metadata) = (text.clone(), metadata.clone());
        async move { lease.generation.state().query(text, metadata).await }
    });
    let failed = |why: &str| error::state::query_failed(name, why);
    let result = answer.await.map_err(|e| e.own().cloned().unwrap_or_else(|| failed(&e.to_string())))?.map_err(|e| failed(&failure(e).1))?;
    let original = |key: String| key.split("||").nth(1).map(str::to_owned).unwrap_or(key);
    let items = result.items.into_iter().map(|(key, found)| Item {
        key: original(key),
        data: found.value.into(),
        etag: found.etag,
        metadata: found.metadata,
        error: None,
    });
    Ok(QueryResult { items: items.collect(), token: result.token, metadata: result.metadata })
}
