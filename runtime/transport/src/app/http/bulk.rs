//! Several events in one call: a JSON envelope around the entries, and an answer with a status for each.

use super::{Answer, HttpApp, JSON, failure, put_metadata};
use crate::http::json;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode};
use proa_core::app::{BulkDelivery, BulkEntry, BulkEvent, BulkReply, ChannelError, DeliveryStatus};
use serde_json::{Map, Value, json};

const LOG: &str = "dapr.runtime.processor.pubsub.subscription.http";
const CLOUD_EVENT: &str = "application/cloudevents+json";
const BYTES: &str = "application/octet-stream";
const TYPE: &str = "com.dapr.event.sent.bulk";

impl HttpApp {
    pub(super) async fn deliver_events(&self, delivery: BulkDelivery) -> Result<BulkReply, ChannelError> {
        let source = &delivery.subscription;
        let metadata = vec![("pubsubName".to_owned(), source.pubsub.clone())];
        let mut request = self.request(Method::POST, &delivery.path, JSON, body(&delivery))?;
        put_metadata(request.headers_mut(), &metadata);
        let answer = self.call(request).await.map_err(|e| ChannelError {
            status: e.status,
            message: format!("error from app channel while sending pub/sub event to app: {}", e.message),
        })?;
        reply(&source.topic, &answer)
    }
}

/// The envelope; its fields in the order in which Go writes a map.
fn body(delivery: &BulkDelivery) -> Bytes {
    let source = &delivery.subscription;
    let entries: Vec<Value> = delivery.entries.iter().map(entry).collect();
    let envelope = json!({
        "entries": entries,
        "id": delivery.id,
        "metadata": {"pubsubName": source.pubsub},
        "pubsubname": source.pubsub,
        "topic": source.topic,
        "type": TYPE,
    });
    json::encode(&envelope).into()
}

fn entry(entry: &BulkEntry) -> Value {
    let (event, usual) = match &entry.event {
        BulkEvent::CloudEvent(event) => (event.clone(), CLOUD_EVENT),
        BulkEvent::Raw(bytes) => (STANDARD.encode(bytes).into(), BYTES),
    };
    let content_type = entry.content_type.as_deref().filter(|c| !c.is_empty()).unwrap_or(usual);
    let metadata: Map<String, Value> = entry.metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({"entryId": entry.id, "event": event, "metadata": metadata, "contentType": content_type})
}

fn reply(topic: &str, answer: &Answer) -> Result<BulkReply, ChannelError> {
    if answer.status == StatusCode::NOT_FOUND {
        tracing::error!(target: LOG, "Non-retriable error returned from app while processing bulk pub/sub event. status code returned: 404");
        return Ok(BulkReply::Unwanted);
    }
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        let message =
            format!("Retriable error returned from app while processing bulk pub/sub event, topic: {topic}. status code returned: {status}");
        return Err(ChannelError { status: Some(status), message });
    }
    let unreadable = |why: String| failure(format!("failed unmarshalling app response for bulk subscribe: {why}"));
    let answered: Map<String, Value> = serde_json::from_slice(&answer.body).map_err(|e| unreadable(e.to_string()))?;
    let statuses = super::answers::field(&answered, "statuses").and_then(Value::as_array);
    Ok(BulkReply::Statuses(statuses.map(|list| list.iter().filter_map(Value::as_object).map(status).collect()).unwrap_or_default()))
}

/// Nothing said of an entry, or something unknown, means that it is to come again.
fn status(object: &Map<String, Value>) -> (String, DeliveryStatus) {
    let id = super::answers::text(object, "entryId");
    let status = match super::answers::text(object, "status").as_str() {
        "SUCCESS" => DeliveryStatus::Success,
        "DROP" => DeliveryStatus::Drop,
        "RETRY" | "" => DeliveryStatus::Retry,
        other => {
            tracing::warn!(target: LOG, "unknown status returned from app while processing bulk subscribe event {id}: {other}");
            DeliveryStatus::Retry
        }
    };
    (id, status)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proa_core::app::Source;
    use std::sync::Arc;

    #[test]
    fn the_envelope() {
        let entry = |id: &str, event| BulkEntry { id: id.into(), event, content_type: None, metadata: vec![("k".into(), "v".into())] };
        let delivery = BulkDelivery {
            subscription: Arc::new(Source { pubsub: "p".into(), topic: "t".into(), metadata: Vec::new() }),
            id: "1".into(),
            path: "/b".into(),
            entries: vec![entry("a", BulkEvent::CloudEvent(json!({"data": 1}))), entry("b", BulkEvent::Raw(Bytes::from_static(b"hi")))],
        };
        let body: Value = serde_json::from_slice(&body(&delivery)).unwrap();
        assert_eq!((&body["pubsubname"], &body["topic"], &body["type"]), (&json!("p"), &json!("t"), &json!(TYPE)));
        let expected = json!([
            {"entryId": "a", "event": {"data": 1}, "metadata": {"k": "v"}, "contentType": CLOUD_EVENT},
            {"entryId": "b", "event": "aGk=", "metadata": {"k": "v"}, "contentType": BYTES},
        ]);
        assert_eq!(body["entries"], expected);
    }

    #[test]
    fn statuses_by_entry() {
        let said = |status: u16, body: &'static str| {
            reply("t", &Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) })
        };
        let statuses = said(
            200,
            r#"{"statuses":[{"entryId":"a","status":"SUCCESS"},{"entryId":"b","status":"what"},{"entryId":"c"},{"entryId":"d","status":"DROP"}]}"#,
        );
        let expected = [("a", DeliveryStatus::Success), ("b", DeliveryStatus::Retry), ("c", DeliveryStatus::Retry), ("d", DeliveryStatus::Drop)];
        assert_eq!(statuses.unwrap(), BulkReply::Statuses(expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect()));
        assert_eq!(said(404, "").unwrap(), BulkReply::Unwanted);
        assert_eq!(said(503, "").unwrap_err().status, Some(503));
        assert!(said(200, "no json").is_err() && said(200, "").is_err());
        assert_eq!(said(200, "{}").unwrap(), BulkReply::Statuses(Vec::new()));
    }
}
