//! Items of the state API, from JSON. Values stay as they were sent.

use crate::http::json::{self, Fields, Mismatch};
use crate::http::query::merge;
use bytes::Bytes;
use proa_core::services::state::{Concurrency, Consistency, DeleteItem, Operation, SetItem, Value};
use proa_model::error::{common, state};
use proa_model::{Error, Metadata};
use std::collections::BTreeMap;

const NULL: Bytes = Bytes::from_static(b"null");

pub fn consistency(text: Option<&str>) -> Consistency {
    match text {
        Some("strong") => Consistency::Strong,
        Some("eventual") => Consistency::Eventual,
        _ => Consistency::Unspecified,
    }
}

pub fn concurrency(text: Option<&str>) -> Concurrency {
    match text {
        Some("first-write") => Concurrency::FirstWrite,
        Some("last-write") => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    }
}

/// Sorted by name, as Go writes maps.
pub fn push_pairs(out: &mut Vec<u8>, pairs: &Metadata) {
    let sorted: BTreeMap<&str, &str> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    out.extend_from_slice(&json::encode(&sorted));
}

/// What both kinds of operation have in common.
struct Common {
    key: String,
    etag: Option<String>,
    metadata: Metadata,
    concurrency: Concurrency,
    consistency: Consistency,
}

impl Common {
    fn read(fields: &Fields<'_>, place: &str, over: &Metadata) -> Result<Self, Mismatch> {
        let mut metadata = fields.pairs("metadata", place)?.unwrap_or_default();
        merge(&mut metadata, over);
        let options: Fields<'_> = fields.read("options", place, "state.SetStateOption")?.unwrap_or_default();
        let option = |name| options.text(name, &format!("{place}.options"));
        Ok(Self {
            key: fields.text("key", place)?.unwrap_or_default(),
            etag: fields.text("etag", place)?.filter(|e| !e.is_empty()),
            metadata,
            concurrency: concurrency(option("concurrency")?.as_deref()),
            consistency: consistency(option("consistency")?.as_deref()),
        })
    }

    fn set(self, body: &Bytes, fields: &Fields<'_>) -> SetItem {
        let value = fields.raw("value").map_or(NULL, |raw| body.slice_ref(raw.as_bytes()));
        let Self { key, etag, metadata, concurrency, consistency } = self;
        SetItem { key, value: Value::Json(value), etag, metadata, concurrency, consistency }
    }

    fn delete(self) -> DeleteItem {
        let Self { key, etag, metadata, concurrency, consistency } = self;
        DeleteItem { key, etag, metadata, concurrency, consistency }
    }
}

/// The items to save; `over` is laid on the metadata of each.
pub fn read(body: &Bytes, over: &Metadata) -> Result<Vec<SetItem>, Error> {
    let list: Option<Vec<Fields<'_>>> = json::decode(body, "[]state.SetRequest").map_err(common::malformed)?;
    let item = |fields: Fields<'_>| {
        let common = Common::read(&fields, "SetRequest", over).map_err(|m| common::malformed(m.0))?;
        if common.key.is_empty() {
            return Err(state::key_required());
        }
        Ok(common.set(body, &fields))
    };
    list.unwrap_or_default().into_iter().map(item).collect()
}

/// The operations of a transaction and its metadata.
pub fn read_transaction(body: &Bytes, over: &Metadata) -> Result<(Vec<Operation>, Metadata), Error> {
    const PLACE: &str = "stateTransactionRequestBody";
    let malformed = |why: String| common::malformed_request(&why);
    let fields: Fields<'_> = json::decode(body, "http.stateTransactionRequestBody").map_err(malformed)?;
    let place = "[]http.stateTransactionRequestBodyOperation";
    let list: Vec<Fields<'_>> = fields.read("operations", PLACE, place).map_err(|m| malformed(m.0))?.unwrap_or_default();
    let mut metadata = fields.pairs("metadata", PLACE).map_err(|m| malformed(m.0))?.unwrap_or_default();
    merge(&mut metadata, over);
    let operations = list.iter().map(|entry| operation(body, entry, over)).collect::<Result<Vec<_>, _>>()?;
    Ok((operations, metadata))
}

fn operation(body: &Bytes, entry: &Fields<'_>, over: &Metadata) -> Result<Operation, Error> {
    let malformed = |m: Mismatch| common::malformed_request(&m.0);
    let kind = entry.text("operation", "stateTransactionRequestBodyOperation").map_err(malformed)?.unwrap_or_default();
    let request = || -> Result<_, Mismatch> {
        let fields: Fields<'_> = entry.read("request", "operations", "object")?.unwrap_or_default();
        let common = Common::read(&fields, "request", over)?;
        Ok((fields, common))
    };
    match kind.as_str() {
        "upsert" => {
            let (fields, common) = request().map_err(malformed)?;
            Ok(Operation::Set(common.set(body, &fields)))
        }
        "delete" => Ok(Operation::Delete(request().map_err(malformed)?.1.delete())),
        other => Err(state::unsupported_operation(other)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn items(body: &'static str) -> Result<Vec<SetItem>, Error> {
        read(&Bytes::from_static(body.as_bytes()), &vec![("over".into(), "1".into())])
    }

    #[test]
    fn bad_items_are_malformed_requests() {
        for body in [
            "",
            "{}",
            "foobar",
            "[{}]",
            r#"[{"key": "key1", "value": "value1"},]"#,
            r#"[{"key": "key1", "value": "value1", "etag": 123}]"#,
            r#"[{"ey": "key0", "value": "value1"}]"#,
            r#"[{"key": "k", "metadata": {"a": 1}}]"#,
        ] {
            assert_eq!(items(body).unwrap_err().code, "ERR_MALFORMED_REQUEST", "{body}");
        }
        assert_eq!(items("[{}]").unwrap_err().message, "\"key\" is a required field");
    }

    #[test]
    fn items_keep_their_values() {
        let read = items(r#"[{"KEY": "k", "value": { "a" : 1.50 }, "etag": "", "metadata": {"over": "0", "x": null}, "options": {"concurrency": "first-write"}}, {"key": "n"}] x"#).unwrap();
        assert!(matches!(&read[0].value, Value::Json(json) if json == r#"{ "a" : 1.50 }"#));
        assert_eq!(read[0].etag, None);
        assert_eq!(read[0].metadata, [("over".into(), "1".into()), ("x".to_owned(), String::new())]);
        assert_eq!(read[0].concurrency, Concurrency::FirstWrite);
        assert!(matches!(&read[1].value, Value::Json(json) if json == "null"));
        assert!(items("[]").unwrap().is_empty() && items("null").unwrap().is_empty());
    }

    #[test]
    fn transactions_are_read() {
        let body = Bytes::from_static(br#"{"operations":[{"operation":"upsert","request":{"key":"a","value":1}},{"operation":"delete","request":{"key":"b","etag":"2"}}],"metadata":{"m":"1"}}"#);
        let (operations, metadata) = read_transaction(&body, &Metadata::new()).unwrap();
        assert!(matches!(&operations[0], Operation::Set(item) if item.key == "a"));
        assert!(matches!(&operations[1], Operation::Delete(item) if item.etag.as_deref() == Some("2")));
        assert_eq!(metadata, [("m".to_owned(), "1".to_owned())]);
        let unknown = Bytes::from_static(br#"{"operations":[{"operation":"move","request":{}}]}"#);
        assert_eq!(read_transaction(&unknown, &Metadata::new()).unwrap_err().code, "ERR_NOT_SUPPORTED_STATE_OPERATION");
    }
}
