//! The entries of a bulk publication: what an event is depends on its content type.

use crate::http::json::{self, Fields, Mismatch};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proa_core::services::pubsub::BulkEntry;
use proa_model::Error;
use proa_model::error::pubsub;
use std::collections::HashSet;

const PLACE: &str = "bulkPublishMessageEntry";
const MISMATCH: &str = "error: mismatch between contentType and event";

/// Entries with ids that are there and differ.
pub fn read(body: &Bytes, broker: &str, topic: &str, app_id: &str) -> Result<Vec<BulkEntry>, Error> {
    let unreadable = |why: String| pubsub::unmarshal_events(broker, topic, app_id, &why);
    let list: Option<Vec<Fields<'_>>> = json::decode(body, "[]http.bulkPublishMessageEntry").map_err(unreadable)?;
    let mut ids = HashSet::new();
    let mut entries = Vec::new();
    for fields in list.unwrap_or_default() {
        let wrong = |m: Mismatch| unreadable(m.0);
        let id = fields.text("entryId", PLACE).map_err(wrong)?.unwrap_or_default();
        let content_type = fields.text("contentType", PLACE).map_err(wrong)?.unwrap_or_default();
        let metadata = fields.pairs("metadata", PLACE).map_err(wrong)?.unwrap_or_default();
        let data =
            event(fields.raw("event").unwrap_or("null"), &content_type).map_err(|why| pubsub::marshal_envelope(broker, topic, app_id, &why))?;
        if id.is_empty() || !ids.insert(id.clone()) {
            return Err(pubsub::marshal_events(broker, topic, app_id, "entryId is duplicated or not present for entry"));
        }
        entries.push(BulkEntry { id, data, content_type, metadata });
    }
    Ok(entries)
}

fn event(json: &str, content_type: &str) -> Result<Bytes, String> {
    let media = content_type.split(';').next().unwrap_or_default().to_lowercase();
    let text = || serde_json::from_str::<String>(json).map_err(|_| MISMATCH.to_owned());
    match media.as_str() {
        "application/octet-stream" => {
            let decoded = STANDARD.decode(text()?);
            decoded.map(Bytes::from).map_err(|e| format!("error: unable to decode base64 application/octect-stream data: {e}"))
        }
        "application/xml" => text().map(Bytes::from),
        media if media.starts_with("text/") => text().map(Bytes::from),
        "application/json" | "application/cloudevents+json" => {
            let value: serde_json::Value = serde_json::from_str(json).map_err(|e| format!("{MISMATCH}: {e}"))?;
            Ok(json::encode(&value).into())
        }
        _ => Err(MISMATCH.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn events_follow_their_content_type() {
        let entries = |body: &'static str| read(&Bytes::from_static(body.as_bytes()), "p", "t", "a");
        let good = entries(r#"[{"entryId":"1","event":"hi","contentType":"text/plain"},{"entryId":"2","event":{"b":1,"a":2},"contentType":"application/json; x"},{"entryId":"3","event":"aGk=","contentType":"application/octet-stream"}]"#).unwrap();
        assert_eq!(good.iter().map(|e| e.data.clone()).collect::<Vec<_>>(), ["hi", r#"{"a":2,"b":1}"#, "hi"]);
        let code = |body| entries(body).err().unwrap().reason.unwrap();
        assert_eq!(code(r#"{"entryID": ""}"#), "DAPR_PUBSUB_UNMARSHAL_EVENTS");
        assert_eq!(code(r#"[{"event":"x","contentType":"text/plain"}]"#), "DAPR_PUBSUB_MARSHAL_EVENTS");
        assert_eq!(code(r#"[{"entryId":"1","event":1,"contentType":"text/plain"}]"#), "DAPR_PUBSUB_MARSHAL_ENVELOPE");
    }
}
