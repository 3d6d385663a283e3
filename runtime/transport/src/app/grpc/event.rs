//! A cloud event as the message that `OnTopicEvent` takes.
//!
//! Data go out as bytes by their content type: text as it is, JSON encoded again, `data_base64` decoded; of any other type there are
//! none, as in Dapr. Attributes without a field of their own go into `extensions`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proa_core::app::TopicDelivery;
use proa_protocol::runtime::v1::{TopicEventCeRequest, TopicEventRequest};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as Json;

/// Attributes that have a field.
const FIELDS: &[&str] = &["id", "source", "datacontenttype", "type", "specversion", "data", "data_base64"];

/// The message. The error says why the data cannot be sent.
pub(crate) fn request(delivery: &TopicDelivery) -> Result<TopicEventRequest, String> {
    let event = of_batch(&delivery.cloud_event)?;
    Ok(TopicEventRequest {
        id: event.id,
        source: event.source,
        r#type: event.r#type,
        spec_version: event.spec_version,
        data_content_type: event.data_content_type,
        data: event.data,
        topic: delivery.subscription.topic.clone(),
        pubsub_name: delivery.subscription.pubsub.clone(),
        path: delivery.path.clone(),
        extensions: event.extensions,
    })
}

/// The event as an entry of a batch has it.
pub(super) fn of_batch(event: &Json) -> Result<TopicEventCeRequest, String> {
    let field = |name: &str| text(event, name).to_owned();
    Ok(TopicEventCeRequest {
        id: field("id"),
        source: field("source"),
        r#type: field("type"),
        spec_version: field("specversion"),
        data_content_type: field("datacontenttype"),
        data: data(event, text(event, "datacontenttype"))?,
        extensions: Some(extensions(event)),
    })
}

/// An attribute that is a text; otherwise empty.
pub(super) fn text<'a>(event: &'a Json, name: &str) -> &'a str {
    event.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn data(event: &Json, content_type: &str) -> Result<Bytes, String> {
    const UNEXPECTED: &str = "retriable error occurred: unexpected data type encountered in envelope";
    let present = |name: &str| event.get(name).filter(|value| !value.is_null());
    if let Some(encoded) = present("data_base64") {
        let encoded = encoded.as_str().ok_or(UNEXPECTED)?;
        return STANDARD.decode(encoded).map(Bytes::from).map_err(|error| format!("retriable error occurred: {error}"));
    }
    let Some(data) = present("data") else { return Ok(Bytes::new()) };
    let kind = content_type.to_lowercase();
    let kind = kind.split(';').next().unwrap_or_default();
    if kind.starts_with("text/") || kind == "application/xml" {
        return data.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes())).ok_or_else(|| UNEXPECTED.to_owned());
    }
    if kind == "application/json" || kind == "application/cloudevents+json" {
        return serde_json::to_vec(data).map(Bytes::from).map_err(|error| error.to_string());
    }
    Ok(Bytes::new())
}

fn extensions(event: &Json) -> Struct {
    let attributes = event.as_object().into_iter().flatten();
    let others = attributes.filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    Struct { fields: others.map(|(name, value)| (name.clone(), converted(value))).collect() }
}

fn converted(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(converted).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct { fields: fields.iter().map(|(name, value)| (name.clone(), converted(value))).collect() }),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bytes(event: Json) -> Result<Bytes, String> {
        let content_type = text(&event, "datacontenttype").to_owned();
        data(&event, &content_type)
    }

    #[test]
    fn data_follow_their_type() {
        assert_eq!(bytes(json!({"data": "hi", "datacontenttype": "text/plain; charset=utf-8"})).unwrap(), "hi");
        assert_eq!(bytes(json!({"data": {"b": [1, "x"]}, "datacontenttype": "application/json"})).unwrap(), "{\"b\":[1,\"x\"]}");
        assert_eq!(bytes(json!({"data_base64": "aGk=", "datacontenttype": "application/octet-stream"})).unwrap(), "hi");
        assert_eq!(bytes(json!({"data": "hi", "datacontenttype": "image/png"})).unwrap(), "");
        assert_eq!(bytes(json!({"data": null, "datacontenttype": "text/plain"})).unwrap(), "");
        assert!(bytes(json!({"data": 1, "datacontenttype": "text/plain"})).is_err());
        assert!(bytes(json!({"data_base64": "***"})).is_err());
    }

    #[test]
    fn other_attributes_are_extensions() {
        let fields = extensions(&json!({"id": "1", "data": 1, "time": "now", "n": 2, "list": [true, null], "map": {"a": "b"}})).fields;
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["list", "map", "n", "time"]);
        assert_eq!(fields["n"].kind, Some(Kind::NumberValue(2.0)));
    }
}
