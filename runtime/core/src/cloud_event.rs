//! CloudEvents 1.0 as the runtime makes and reads them.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proa_model::{Metadata, lookup};
use serde_json::{Map, Value, json};

pub const JSON: &str = "application/cloudevents+json";

/// What an envelope is made from.
pub struct Draft<'a> {
    pub source: &'a str,
    pub topic: &'a str,
    pub pubsub: &'a str,
    pub content_type: &'a str,
    pub data: &'a [u8],
    pub metadata: &'a Metadata,
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
}

/// Whether a media type says that the body is one CloudEvent in JSON.
pub fn is_cloud_event(content_type: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case(JSON)
}

/// A media type without its parameters.
pub fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

pub fn is_json(content_type: &str) -> bool {
    let media = media_type(content_type).to_lowercase();
    media == "application/json" || media.ends_with("+json")
}

fn is_binary(content_type: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case("application/octet-stream")
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The value of `cloudevent.<name>`.
fn wish<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    lookup(metadata, &format!("cloudevent.{name}")).filter(|v| !v.is_empty())
}

/// The envelope to publish. The error says why the body cannot be put into one.
pub fn envelope(draft: &Draft<'_>) -> Result<Map<String, Value>, String> {
    let mut event = if is_cloud_event(draft.content_type) { parse(draft.data)? } else { fresh(draft)? };
    event.insert("topic".into(), draft.topic.into());
    event.insert("pubsubname".into(), draft.pubsub.into());
    trace(&mut event, draft);
    for name in ["id", "source", "type", "subject", "time", "traceid", "traceparent", "tracestate", "dataschema"] {
        if let Some(value) = wish(draft.metadata, name) {
            event.insert(name.into(), value.into());
        }
    }
    if event.get("traceparent").is_some() && wish(draft.metadata, "traceid").is_some() && wish(draft.metadata, "traceparent").is_none() {
        let id = event.get("traceid").cloned().unwrap_or_default();
        event.insert("traceparent".into(), id);
    }
    Ok(event)
}

fn parse(data: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(data).map_err(|e| e.to_string())? {
        Value::Object(mut event) => {
            event.entry("id").or_insert_with(|| uuid::Uuid::new_v4().to_string().into());
            event.entry("specversion").or_insert_with(|| "1.0".into());
            Ok(event)
        }
        _ => Err("a cloud event is a JSON object".into()),
    }
}

fn fresh(draft: &Draft<'_>) -> Result<Map<String, Value>, String> {
    let content_type = if draft.content_type.is_empty() { "text/plain" } else { draft.content_type };
    let mut event = Map::new();
    if is_json(content_type) {
        event.insert("data".into(), serde_json::from_slice(draft.data).map_err(|e| e.to_string())?);
    } else if is_binary(content_type) {
        event.insert("data_base64".into(), STANDARD.encode(draft.data).into());
    } else {
        event.insert("data".into(), String::from_utf8_lossy(draft.data).into_owned().into());
    }
    event.insert("datacontenttype".into(), content_type.into());
    event.insert("id".into(), uuid::Uuid::new_v4().to_string().into());
    event.insert("source".into(), draft.source.into());
    event.insert("specversion".into(), "1.0".into());
    event.insert("time".into(), now().into());
    event.insert("type".into(), "com.dapr.event.sent".into());
    Ok(event)
}

fn trace(event: &mut Map<String, Value>, draft: &Draft<'_>) {
    let parent = draft.traceparent.unwrap_or_default();
    for name in ["traceid", "traceparent"] {
        if !event.contains_key(name) {
            event.insert(name.into(), parent.into());
        }
    }
    if !event.contains_key("tracestate") {
        event.insert("tracestate".into(), draft.tracestate.unwrap_or_default().into());
    }
}

/// The event in what a broker handed out. Without an envelope (raw payload) one is made around it.
pub fn received(topic: &str, pubsub: &str, data: &[u8], raw: bool, metadata: &Metadata) -> Result<Map<String, Value>, String> {
    if !raw {
        return match serde_json::from_slice(data) {
            Ok(Value::Object(event)) => Ok(event),
            Ok(_) => Err("a cloud event is a JSON object".into()),
            Err(e) => Err(e.to_string()),
        };
    }
    let mut event = Map::new();
    event.insert("data_base64".into(), STANDARD.encode(data).into());
    event.insert("datacontenttype".into(), "application/octet-stream".into());
    event.insert("id".into(), uuid::Uuid::new_v4().to_string().into());
    event.insert("pubsubname".into(), pubsub.into());
    event.insert("source".into(), "Dapr".into());
    event.insert("specversion".into(), "1.0".into());
    event.insert("time".into(), now().into());
    event.insert("topic".into(), topic.into());
    event.insert("type".into(), "com.dapr.event.sent".into());
    for name in ["traceid", "traceparent", "tracestate"] {
        if let Some(value) = lookup(metadata, name) {
            event.insert(name.into(), value.into());
        }
    }
    Ok(event)
}

/// Whether the event's time is over.
pub fn expired(event: &Map<String, Value>) -> bool {
    let Some(text) = event.get("expiration").and_then(Value::as_str) else { return false };
    text.parse::<jiff::Timestamp>().is_ok_and(|at| at < jiff::Timestamp::now())
}

/// Adds the moment after which the event is not to be delivered.
pub fn expire_after(event: &mut Map<String, Value>, seconds: i64) {
    let at = jiff::Timestamp::now().saturating_add(jiff::SignedDuration::from_secs(seconds));
    if let Ok(at) = at {
        event.insert("expiration".into(), json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    }
}

pub fn to_bytes(event: &Map<String, Value>) -> Result<Bytes, String> {
    serde_json::to_vec(event).map(Bytes::from).map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn draft<'a>(content_type: &'a str, data: &'a [u8], metadata: &'a Metadata) -> Draft<'a> {
        Draft { source: "app", topic: "t", pubsub: "p", content_type, data, metadata, traceparent: Some("00-1-2-01"), tracestate: None }
    }

    #[test]
    fn wraps_by_content_type() {
        let none = Metadata::new();
        let e = envelope(&draft("", b"hi", &none)).unwrap();
        assert_eq!((&e["data"], &e["datacontenttype"], &e["type"]), (&json!("hi"), &json!("text/plain"), &json!("com.dapr.event.sent")));
        assert_eq!(envelope(&draft("application/json", b"{\"a\":1}", &none)).unwrap()["data"], json!({"a": 1}));
        assert_eq!(envelope(&draft("application/octet-stream", b"\x01", &none)).unwrap()["data_base64"], json!("AQ=="));
        assert!(envelope(&draft("application/json", b"{", &none)).is_err());
    }

    #[test]
    fn wishes_win() {
        let metadata = vec![("cloudevent.id".to_owned(), "x".to_owned()), ("cloudevent.type".to_owned(), "y".to_owned())];
        let e = envelope(&draft("application/cloudevents+json", b"{\"id\":\"a\",\"data\":1}", &metadata)).unwrap();
        assert_eq!((&e["id"], &e["type"], &e["topic"]), (&json!("x"), &json!("y"), &json!("t")));
    }

    #[test]
    fn expiry() {
        let mut e = Map::new();
        assert!(!expired(&e));
        expire_after(&mut e, -5);
        assert!(expired(&e));
        expire_after(&mut e, 60);
        assert!(!expired(&e));
    }
}
