//! A value on its way into a store: JSON as the application sent it, or opaque bytes; encrypted where the store wants that.

use super::{Concurrency, Consistency, SetItem};
use crate::encryption::Keys;
use bytes::Bytes;
use proa_host::kinds::state::Encoding;
use proa_model::Metadata;
use serde_json::Value as Json;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One JSON value, as it was sent.
    Json(Bytes),
    Bytes(Bytes),
}

impl Value {
    /// The bytes to store and how they are to be understood.
    pub fn stored(&self, keys: Option<&Keys>, content_type: Option<&str>) -> Result<(Vec<u8>, Encoding), String> {
        if let Some(keys) = keys {
            let plain = match self {
                Self::Json(text) => go_text(&serde_json::from_slice(text).map_err(|e| e.to_string())?).into_bytes(),
                Self::Bytes(bytes) => bytes.to_vec(),
            };
            return Ok((keys.encrypt(&plain)?, Encoding::Bytes));
        }
        match self {
            Self::Json(text) => Ok((compact(text)?, Encoding::Json)),
            Self::Bytes(bytes) if content_type.is_some_and(|c| c.eq_ignore_ascii_case("application/json")) => Ok((compact(bytes)?, Encoding::Json)),
            Self::Bytes(bytes) => Ok((bytes.to_vec(), Encoding::Bytes)),
        }
    }
}

impl Value {
    /// What an event that tells of the value holds: what the store gets, but that Dapr prints JSON as Go does, unless it is said to be JSON.
    pub fn published(&self, keys: Option<&Keys>, content_type: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Json(text) if keys.is_none() => {
                let value: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
                if content_type.eq_ignore_ascii_case("application/json") {
                    return serde_json::to_vec(&value).map_err(|e| e.to_string());
                }
                Ok(go_text(&value).into_bytes())
            }
            Self::Bytes(bytes) if keys.is_none() => Ok(bytes.to_vec()),
            _ => self.stored(keys, Some(content_type)).map(|(data, _)| data),
        }
    }
}

/// JSON without the space between its parts. Most clients send none; then nothing is parsed here.
fn compact(text: &[u8]) -> Result<Vec<u8>, String> {
    let (mut quoted, mut escaped, mut spaced) = (false, false, false);
    for b in text {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\n' | b'\r' | b'\t' if !quoted => {
                spaced = true;
                break;
            }
            _ => {}
        }
    }
    if !spaced && !text.is_empty() {
        return Ok(text.to_vec());
    }
    let value: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    serde_json::to_vec(&value).map_err(|e| e.to_string())
}

/// A JSON value as Go's `%v` prints it: what Dapr encrypts.
fn go_text(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".into(),
        Json::Bool(b) => b.to_string(),
        Json::Number(n) => go_number(n),
        Json::String(s) => s.clone(),
        Json::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Json::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(k, _)| *k);
            format!("map[{}]", pairs.into_iter().map(|(k, v)| format!("{k}:{}", go_text(v))).collect::<Vec<_>>().join(" "))
        }
    }
}

/// Go reads every JSON number as a float64 and prints those of seven digits and more, and very small ones, with an exponent.
fn go_number(n: &serde_json::Number) -> String {
    let Some(f) = n.as_f64() else { return n.to_string() };
    let text = format!("{f:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..=5).contains(&power) || f == 0.0 {
        return format!("{f}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", power.unsigned_abs())
}

/// Items as the state API takes them in JSON.
pub fn items_of_json(list: &Json) -> Result<Vec<SetItem>, String> {
    let items = list.as_array().ok_or("state is not a list")?;
    items.iter().map(item_of_json).collect()
}

fn item_of_json(item: &Json) -> Result<SetItem, String> {
    let key = item.get("key").and_then(Json::as_str).filter(|k| !k.is_empty()).ok_or("\"key\" is a required field")?;
    let value = serde_json::to_vec(item.get("value").unwrap_or(&Json::Null)).map_err(|e| e.to_string())?;
    let metadata = item
        .get("metadata")
        .and_then(Json::as_object)
        .map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect::<Metadata>());
    let option = |name: &str| item.get("options").and_then(|o| o.get(name)).and_then(Json::as_str).unwrap_or_default();
    Ok(SetItem {
        key: key.to_owned(),
        value: Value::Json(value.into()),
        etag: item.get("etag").and_then(Json::as_str).map(str::to_owned),
        metadata: metadata.unwrap_or_default(),
        concurrency: match option("concurrency") {
            "first-write" => Concurrency::FirstWrite,
            "last-write" => Concurrency::LastWrite,
            _ => Concurrency::Unspecified,
        },
        consistency: match option("consistency") {
            "strong" => Consistency::Strong,
            "eventual" => Consistency::Eventual,
            _ => Consistency::Unspecified,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compacted_only_where_it_must() {
        let json = |t: &'static str| Value::Json(Bytes::from_static(t.as_bytes())).stored(None, None).unwrap().0;
        assert_eq!(json("{\"a\":\"b c\"}"), b"{\"a\":\"b c\"}");
        assert_eq!(json("{ \"a\" : [1, 2] }"), b"{\"a\":[1,2]}");
        assert_eq!(json("\"x\""), b"\"x\"");
    }

    #[test]
    fn go_prints() {
        let text = |t: &str| go_text(&serde_json::from_str(t).unwrap());
        assert_eq!(text("\"a b\""), "a b");
        assert_eq!(text("{\"b\":[1,true],\"a\":null}"), "map[a:<nil> b:[1 true]]");
        assert_eq!(text("1.5"), "1.5");
        assert_eq!(text("1e21"), "1e+21");
        assert_eq!(text("12345678"), "1.2345678e+07");
    }
}
