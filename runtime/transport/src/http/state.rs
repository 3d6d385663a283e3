//! State: single items, many at once, transactions, queries.
//!
//! Whether the store exists is said before what is wrong with a body, as in Dapr.

mod items;

use super::json::{self, Fields};
use super::query::merge;
use super::reply::{self, Reply};
use super::request::Call;
use bytes::Bytes;
use http::StatusCode;
use http::header::{ETAG, HeaderValue};
use proa_core::services::state::{self, DeleteItem, GetRequest, Item};
use proa_model::Error;
use proa_model::error::common;
use serde_json::value::RawValue;

pub async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let consistency = items::consistency(call.query("consistency").as_deref());
    let request = GetRequest { store: call.param(0), key: call.param(1), consistency, metadata: call.metadata() };
    let Some(item) = state::get(call.runtime, &cx, request).await? else { return Ok(reply::empty()) };
    let mut answer = reply::data(StatusCode::OK, item.data);
    if let Some(etag) = item.etag.as_deref().and_then(|e| HeaderValue::from_str(e).ok()) {
        answer.headers_mut().insert(ETAG, etag);
    }
    reply::metadata(&mut answer, &item.metadata);
    Ok(answer)
}

pub async fn save(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (store, metadata) = (call.param(0), call.metadata());
    let body = call.body().await?;
    let items = match items::read(&body, &metadata) {
        Ok(items) => items,
        Err(error) => {
            state::find(call.runtime, &store)?;
            return Err(error);
        }
    };
    if items.is_empty() {
        state::find(call.runtime, &store)?;
        return Ok(reply::empty());
    }
    state::save(call.runtime, &cx, &store, items).await?;
    Ok(reply::empty())
}

pub async fn delete(call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let item = DeleteItem {
        key: call.param(1),
        etag: call.header("if-match").filter(|e| !e.is_empty()).map(str::to_owned),
        metadata: call.metadata(),
        concurrency: items::concurrency(call.query("concurrency").as_deref()),
        consistency: items::consistency(call.query("consistency").as_deref()),
    };
    state::delete(call.runtime, &cx, &call.param(0), item).await?;
    Ok(reply::empty())
}

pub async fn get_bulk(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (store, over) = (call.param(0), call.metadata());
    let body = call.body().await?;
    let read = || -> Result<_, String> {
        const PLACE: &str = "BulkGetRequest";
        let fields: Fields<'_> = json::decode(&body, "http.BulkGetRequest")?;
        let keys: Vec<Option<String>> = fields.read("keys", PLACE, "[]string").map_err(|m| m.0)?.unwrap_or_default();
        let parallelism: i32 = fields.read("parallelism", PLACE, "int").map_err(|m| m.0)?.unwrap_or_default();
        let mut metadata = fields.pairs("metadata", PLACE).map_err(|m| m.0)?.unwrap_or_default();
        merge(&mut metadata, &over);
        Ok((keys.into_iter().map(Option::unwrap_or_default).collect(), parallelism, metadata))
    };
    let (keys, parallelism, metadata) = match read() {
        Ok(request) => request,
        Err(why) => {
            state::find(call.runtime, &store)?;
            return Err(common::malformed_request(&why));
        }
    };
    let items = state::get_bulk(call.runtime, &cx, &store, keys, parallelism, metadata).await?;
    Ok(reply::data(StatusCode::OK, bulk_body(&items)))
}

/// What is not JSON cannot be part of the answer; it becomes the error of its key.
fn bulk_body(items: &[Item]) -> Bytes {
    let mut out = Vec::with_capacity(64 * items.len() + 4);
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_bulk_item(&mut out, item);
    }
    out.extend_from_slice(b"]\n");
    out.into()
}

fn push_bulk_item(out: &mut Vec<u8>, item: &Item) {
    out.extend_from_slice(b"{\"key\":");
    json::push_text(out, &item.key);
    if let Some(error) = &item.error {
        push_field(out, b",\"error\":", error);
        out.push(b'}');
        return;
    }
    let readable = item.data.is_empty() || push_data(out, b",\"data\":", &item.data);
    if let Some(etag) = &item.etag {
        push_field(out, b",\"etag\":", etag);
    }
    if !item.metadata.is_empty() {
        out.extend_from_slice(b",\"metadata\":");
        items::push_pairs(out, &item.metadata);
    }
    if !readable {
        push_field(out, b",\"error\":", "the value is not JSON");
    }
    out.push(b'}');
}

fn push_field(out: &mut Vec<u8>, name: &[u8], text: &str) {
    out.extend_from_slice(name);
    json::push_text(out, text);
}

fn push_data(out: &mut Vec<u8>, name: &[u8], data: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<&RawValue>(data) else { return false };
    out.extend_from_slice(name);
    json::push_compact(out, value.get());
    true
}

pub async fn transact(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (store, over) = (call.param(0), call.metadata());
    let body = call.body().await?;
    let (operations, metadata) = match items::read_transaction(&body, &over) {
        Ok(read) => read,
        Err(error) => {
            // Nothing to do, but the store says first whether it can.
            state::transact(call.runtime, &cx, &store, Vec::new(), over).await?;
            return Err(error);
        }
    };
    state::transact(call.runtime, &cx, &store, operations, metadata).await?;
    Ok(reply::empty())
}

pub async fn query(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let body = call.body().await?;
    let result = state::query(call.runtime, &cx, &call.param(0), body, call.metadata()).await?;
    if result.items.is_empty() {
        return Ok(reply::empty());
    }
    let mut out = Vec::with_capacity(64 * result.items.len() + 64);
    out.extend_from_slice(b"{\"results\":[");
    for (index, item) in result.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_query_item(&mut out, item);
    }
    out.push(b']');
    if let Some(token) = result.token.as_deref().filter(|t| !t.is_empty()) {
        push_field(&mut out, b",\"token\":", token);
    }
    if !result.metadata.is_empty() {
        out.extend_from_slice(b",\"metadata\":");
        items::push_pairs(&mut out, &result.metadata);
    }
    out.extend_from_slice(b"}\n");
    Ok(reply::data(StatusCode::OK, out.into()))
}

fn push_query_item(out: &mut Vec<u8>, item: &Item) {
    out.extend_from_slice(b"{\"key\":");
    json::push_text(out, &item.key);
    let readable = push_data(out, b",\"data\":", &item.data);
    if !readable {
        out.extend_from_slice(b",\"data\":null");
    }
    if let Some(etag) = item.etag.as_deref().filter(|e| !e.is_empty()) {
        push_field(out, b",\"etag\":", etag);
    }
    let unreadable = (!readable && !item.data.is_empty()).then_some("the value is not JSON");
    if let Some(error) = item.error.as_deref().or(unreadable) {
        push_field(out, b",\"error\":", error);
    }
    out.push(b'}');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn bulk_items_are_written_as_dapr_does() {
        let item = |key: &str, data: &'static str| Item { key: key.into(), data: Bytes::from_static(data.as_bytes()), ..Item::default() };
        let full =
            Item { etag: Some("1".into()), metadata: vec![("b".into(), "2".into()), ("a".into(), "1".into())], ..item("k", "{ \"x\": \"<\" }") };
        let failed = Item { error: Some("no".into()), ..item("f", "") };
        let body = bulk_body(&[full, item("none", ""), failed, item("text", "hello")]);
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            concat!(
                r#"[{"key":"k","data":{"x":"\u003c"},"etag":"1","metadata":{"a":"1","b":"2"}},"#,
                r#"{"key":"none"},{"key":"f","error":"no"},{"key":"text","error":"the value is not JSON"}]"#,
                "\n"
            )
        );
    }
}
