//! The event in what a broker handed out: the envelope itself, one made around a raw payload, or one whose attributes came as the
//! message's metadata (`ce_type`, `ce_source`, …) beside binary data.

use crate::cloud_event;
use base64::{Engine, engine::general_purpose::STANDARD};
use proa_host::kinds::pubsub::Message;
use proa_model::{Metadata, lookup};
use serde_json::{Map, Value};

const PREFIX: &str = "ce_";

/// The error says why there is no event in it.
pub(super) fn event(topic: &str, pubsub: &str, message: &Message, raw: bool) -> Result<Map<String, Value>, String> {
    let content_type = message.content_type.as_deref().or_else(|| lookup(&message.metadata, "content-type")).unwrap_or_default();
    let binary = cloud_event::media_type(content_type).eq_ignore_ascii_case("application/octet-stream");
    if !raw && binary && attributes(&message.metadata).next().is_some() {
        let mut event: Map<String, Value> = attributes(&message.metadata).collect();
        event.insert("datacontenttype".into(), content_type.into());
        event.insert("data_base64".into(), STANDARD.encode(&message.data).into());
        return Ok(event);
    }
    cloud_event::received(topic, pubsub, &message.data, raw, &message.metadata)
}

fn attributes(metadata: &Metadata) -> impl Iterator<Item = (String, Value)> + '_ {
    metadata.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let attribute = name.strip_prefix(PREFIX).filter(|a| !a.is_empty())?;
        Some((attribute.to_owned(), Value::from(value.as_str())))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn attributes_may_come_as_metadata() {
        let mut message = Message {
            id: "1".into(),
            topic: "t".into(),
            data: b"\x01\x02".to_vec(),
            content_type: Some("application/octet-stream".into()),
            metadata: vec![("CE_Type".into(), "made".into()), ("ce_id".into(), "7".into()), ("other".into(), "x".into())],
            lane: None,
            redeliveries: 0,
        };
        let found = event("t", "p", &message, false).unwrap();
        assert_eq!((&found["type"], &found["id"], &found["data_base64"]), (&"made".into(), &"7".into(), &"AQI=".into()));
        assert!(found.get("other").is_none());
        message.metadata.clear();
        assert!(event("t", "p", &message, false).is_err(), "binary data without attributes are no event");
        assert_eq!(event("t", "p", &message, true).unwrap()["data_base64"], "AQI=");
    }
}
