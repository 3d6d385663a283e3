//! Replies to items.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use proa_sdk::state::{Error, Item};
use redis_core::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

pub fn item(value: Vec<u8>, etag: Option<String>) -> Item {
    Item { value, etag, content_type: None, metadata: Vec::new() }
}

/// The reply to `HGETALL`: fields and values in turn; none of them when there is no such key.
pub fn from_hash(reply: Value) -> Result<Option<Item>, Error> {
    let fields = reply.into_array().unwrap_or_default();
    if fields.is_empty() {
        return Ok(None);
    }
    let (mut data, mut version) = (None, None);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &name {
            Value::Bulk(n) if n == b"data" => data = value.into_bytes(),
            Value::Bulk(n) if n == b"version" => version = value.into_text(),
            _ => {}
        }
    }
    match (data, version) {
        (Some(data), Some(version)) => Ok(Some(item(data, Some(version)))),
        _ => Err(Error::Other("required hash field 'data' or 'version' was not found".into())),
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    version: Option<i64>,
}

/// The reply to `JSON.GET`.
pub fn from_json(reply: Value) -> Result<Option<Item>, Error> {
    let Some(text) = reply.into_bytes() else { return Ok(None) };
    let document: Document<'_> = serde_json::from_slice(&text).map_err(|e| Error::Other(format!("not a state document: {e}")))?;
    let data = document.data.map_or("null", RawValue::get).as_bytes().to_vec();
    Ok(Some(item(data, document.version.map(|v| v.to_string()))))
}

/// A value as the document that `JSON.SET` stores: JSON as it is, anything else as a string of base64.
pub fn to_document(value: &[u8]) -> String {
    match serde_json::from_slice::<&RawValue>(value) {
        Ok(json) => format!("{{\"data\":{}}}", json.get()),
        Err(_) => format!("{{\"data\":\"{}\"}}", BASE64.encode(value)),
    }
}
