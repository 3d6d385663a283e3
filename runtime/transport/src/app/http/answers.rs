//! What an application's answers mean.
//!
//! Names in JSON match without regard to case: frameworks differ in how they write `pubsubname`.

use bytes::Bytes;
use http::StatusCode;
use proa_core::app::{AppSubscription, BindingReply, Bulk, ChannelError, DeliveryStatus, Rule};
use proa_model::Metadata;
use serde_json::{Map, Value};

const LOG: &str = "dapr.runtime.processor.pubsub.subscription.http";

pub(super) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).filter(|v| !v.is_null())
}

pub(super) fn text(object: &Map<String, Value>, name: &str) -> String {
    field(object, name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The verdict on an event: any success is one unless the body says otherwise; 404 means that nobody will ever want it.
pub fn verdict(event: &Value, status: StatusCode, body: &[u8]) -> Result<DeliveryStatus, ChannelError> {
    let attribute = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("<nil>");
    let id = attribute("id");
    let body_text = || String::from_utf8_lossy(body);
    if status == StatusCode::NOT_FOUND {
        tracing::error!(
            target: LOG,
            "non-retriable error returned from app while processing pub/sub event {id}: {}. status code returned: 404",
            body_text()
        );
        return Ok(DeliveryStatus::Drop);
    }
    if !status.is_success() {
        let message = format!(
            "retriable error returned from app while processing pub/sub event {id}, topic: {}, body: {}. status code returned: {}",
            attribute("topic"),
            body_text(),
            status.as_u16()
        );
        return Err(ChannelError { status: Some(status.as_u16()), message });
    }
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let word = answer.as_ref().and_then(Value::as_object).and_then(|o| field(o, "status")).and_then(Value::as_str).unwrap_or_default();
    match word {
        "" | "SUCCESS" => Ok(DeliveryStatus::Success),
        "RETRY" => Ok(DeliveryStatus::Retry),
        "DROP" => {
            tracing::warn!(target: LOG, "DROP status returned from app while processing pub/sub event {id}");
            Ok(DeliveryStatus::Drop)
        }
        other => {
            tracing::debug!(target: LOG, "unknown status returned from app while processing pub/sub event {id}, status: {other}");
            Ok(DeliveryStatus::Retry)
        }
    }
}

/// The answer to an event of a binding. One that asks for nothing goes back to the component as it is.
pub fn binding(status: StatusCode, body: Bytes) -> Result<BindingReply, ChannelError> {
    if !status.is_success() {
        let message =
            format!("fails to send binding event to http app channel, status code: {} body: {}", status.as_u16(), String::from_utf8_lossy(&body));
        return Err(ChannelError { status: Some(status.as_u16()), message });
    }
    let parsed: Option<Value> = serde_json::from_slice(&body).ok();
    let object = parsed.as_ref().and_then(Value::as_object);
    let asks = object.filter(|o| ["to", "state", "storeName"].iter().any(|name| field(o, name).is_some()));
    let Some(object) = asks else {
        return Ok(BindingReply { data: (!body.is_empty()).then_some(body), ..BindingReply::default() });
    };
    let to = field(object, "to").and_then(Value::as_array);
    Ok(BindingReply {
        data: field(object, "data").map(|data| crate::http::json::encode(data).into()),
        store_name: text(object, "storeName"),
        state: field(object, "state").cloned().unwrap_or_default(),
        to: to.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default(),
        concurrency: text(object, "concurrency"),
    })
}

/// The subscriptions of an answer to `GET /dapr/subscribe`.
pub fn subscriptions(status: StatusCode, body: &[u8]) -> Result<Vec<AppSubscription>, ChannelError> {
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            tracing::debug!(target: LOG, "user app did not subscribe to any topic");
            return Ok(Vec::new());
        }
        other => {
            tracing::error!(target: LOG, "app returned http status code {} from subscription endpoint", other.as_u16());
            return Ok(Vec::new());
        }
    }
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let failed = |why: String| ChannelError { status: None, message: format!("error getting topics from app: {why}") };
    let list: Option<Vec<Map<String, Value>>> = serde_json::from_slice(body).map_err(|e| failed(e.to_string()))?;
    let all = list.unwrap_or_default().into_iter().map(|item| subscription(&item));
    Ok(all.filter(has_route).collect())
}

fn has_route(one: &AppSubscription) -> bool {
    let routed = !one.rules.is_empty() || !one.default_path.is_empty();
    if !routed {
        tracing::warn!(target: LOG, "topic {} has an empty routes. removing from subscriptions list", one.topic);
    }
    routed
}

fn subscription(item: &Map<String, Value>) -> AppSubscription {
    let routes = field(item, "routes").and_then(Value::as_object);
    let default = routes.map(|r| text(r, "default")).filter(|d| !d.is_empty());
    let rules = routes.and_then(|r| field(r, "rules")).and_then(Value::as_array);
    AppSubscription {
        pubsub_name: text(item, "pubsubname"),
        topic: text(item, "topic"),
        dead_letter_topic: text(item, "deadLetterTopic"),
        metadata: field(item, "metadata").and_then(Value::as_object).map(metadata).unwrap_or_default(),
        rules: rules.map(|list| list.iter().filter_map(Value::as_object).map(rule).collect()).unwrap_or_default(),
        default_path: default.unwrap_or_else(|| text(item, "route")),
        bulk: field(item, "bulkSubscribe").and_then(Value::as_object).map(bulk),
    }
}

fn rule(object: &Map<String, Value>) -> Rule {
    Rule { match_expr: text(object, "match"), path: text(object, "path") }
}

fn bulk(object: &Map<String, Value>) -> Bulk {
    let number = |name| field(object, name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Bulk {
        enabled: field(object, "enabled").and_then(Value::as_bool).unwrap_or(false),
        max_messages: number("maxMessagesCount"),
        max_await_ms: number("maxAwaitDurationMs"),
    }
}

/// Values that are no texts become their JSON.
fn metadata(object: &Map<String, Value>) -> Metadata {
    let value = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    object.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn verdicts_follow_status_and_body() {
        let event = json!({"id": "1", "topic": "t"});
        let said = |status: u16, body: &str| verdict(&event, StatusCode::from_u16(status).unwrap(), body.as_bytes());
        for (status, body, expected) in [
            (200, "", DeliveryStatus::Success),
            (204, "no json", DeliveryStatus::Success),
            (201, r#"{"status":"SUCCESS"}"#, DeliveryStatus::Success),
            (200, r#"{"status":""}"#, DeliveryStatus::Success),
            (200, r#"{"Status":"RETRY"}"#, DeliveryStatus::Retry),
            (200, r#"{"status":"what"}"#, DeliveryStatus::Retry),
            (200, r#"{"status":"DROP"}"#, DeliveryStatus::Drop),
            (404, "", DeliveryStatus::Drop),
        ] {
            assert_eq!(said(status, body).unwrap(), expected, "{status} {body}");
        }
        let error = said(500, "boom").unwrap_err();
        assert_eq!(error.status, Some(500));
        assert_eq!(
            error.message,
            "retriable error returned from app while processing pub/sub event 1, topic: t, body: boom. status code returned: 500"
        );
    }

    #[test]
    fn both_shapes_of_subscriptions_are_read() {
        let body = json!([
            {"pubsubName": "p", "topic": "a", "route": "/a", "deadLetterTopic": "dead", "metadata": {"rawPayload": true}},
            {"pubsubname": "p", "topic": "b", "routes": {"rules": [{"match": "event.type == \"x\"", "path": "/x"}], "default": "/b"}, "bulkSubscribe": {"enabled": true, "maxMessagesCount": 5}},
            {"pubsubname": "p", "topic": "c"}
        ]);
        let read = subscriptions(StatusCode::OK, body.to_string().as_bytes()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].default_path.as_str(), read[0].dead_letter_topic.as_str(), read[0].metadata[0].1.as_str()), ("/a", "dead", "true"));
        assert_eq!((read[1].rules[0].path.as_str(), read[1].default_path.as_str()), ("/x", "/b"));
        assert_eq!(read[1].bulk, Some(Bulk { enabled: true, max_messages: 5, max_await_ms: 0 }));
        assert!(subscriptions(StatusCode::NOT_FOUND, b"").unwrap().is_empty() && subscriptions(StatusCode::OK, b"").unwrap().is_empty());
        assert!(subscriptions(StatusCode::OK, b"{}").is_err());
    }

    #[test]
    fn bindings_may_ask_for_more() {
        let plain = binding(StatusCode::OK, Bytes::from_static(b"{\"a\":1}")).unwrap();
        assert_eq!(plain.data.as_deref(), Some(b"{\"a\":1}".as_slice()));
        let asking = binding(
            StatusCode::OK,
            Bytes::from_static(br#"{"storeName":"s","state":[{"key":"k"}],"to":["x"],"concurrency":"parallel","data":{"b": 1}}"#),
        )
        .unwrap();
        assert_eq!((asking.store_name.as_str(), asking.to.len(), asking.data.as_deref()), ("s", 1, Some(b"{\"b\":1}".as_slice())));
        assert!(binding(StatusCode::NO_CONTENT, Bytes::new()).unwrap().data.is_none());
        assert!(binding(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()).is_err());
    }
}
