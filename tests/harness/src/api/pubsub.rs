//! Publishing over either transport.

use bytes::Bytes;
use proa_protocol::runtime::v1 as pb;
use serde_json::{Value, json};

use super::{Api, ApiError, Wire, accepted, metadata_query, pairs, segment};

impl Api {
    /// Publishes `data` as `content_type` (empty: none given).
    pub async fn publish(
        &self,
        pubsub: &str,
        topic: &str,
        data: impl Into<Bytes>,
        content_type: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        let metadata = pairs(metadata);
        match self.wire {
            Wire::Http => {
                let path = format!("/v1.0/publish/{}/{topic}{}", segment(pubsub), metadata_query(&metadata));
                let mut request = self.http.request("POST", &path).body(data);
                if !content_type.is_empty() {
                    request = request.header("content-type", content_type);
                }
                accepted(request.send().await).map(|reply| assert_eq!(reply.status, 204))
            }
            Wire::Grpc => {
                let request = pb::PublishEventRequest {
                    pubsub_name: pubsub.into(),
                    topic: topic.into(),
                    data: data.into(),
                    data_content_type: content_type.into(),
                    metadata: metadata.into_iter().collect(),
                };
                self.grpc.clone().publish_event(self.call(request)).await?;
                Ok(())
            }
        }
    }

    /// One JSON event, where the sidecar may be away: whatever goes wrong is told as text.
    pub async fn try_publish(&self, pubsub: &str, topic: &str, data: String) -> Result<(), String> {
        if self.wire == Wire::Grpc {
            return self.publish(pubsub, topic, data, "application/json", &[]).await.map_err(|error| format!("{error:?}"));
        }
        let request = self.http.request("POST", &format!("/v1.0/publish/{}/{topic}", segment(pubsub)));
        let reply = request.header("content-type", "application/json").body(data).try_send().await?;
        if reply.status == 204 { Ok(()) } else { Err(format!("{}: {}", reply.status, reply.text())) }
    }

    /// Publishes JSON values in one request, entry ids `0`, `1`, …; gives the ids that failed.
    pub async fn publish_bulk(&self, pubsub: &str, topic: &str, events: &[Value]) -> Result<Vec<String>, ApiError> {
        match self.wire {
            Wire::Http => {
                let entry = |(id, event): (usize, &Value)| json!({ "entryId": id.to_string(), "event": event, "contentType": "application/json" });
                let body = Value::Array(events.iter().enumerate().map(entry).collect());
                let reply = accepted(self.http.post(&format!("/v1.0/publish/bulk/{}/{topic}", segment(pubsub)), &body).await)?;
                assert_eq!(reply.status, 204);
                Ok(Vec::new())
            }
            Wire::Grpc => {
                let entry = |(id, event): (usize, &Value)| pb::BulkPublishRequestEntry {
                    entry_id: id.to_string(),
                    event: event.to_string().into(),
                    content_type: "application/json".into(),
                    metadata: Default::default(),
                };
                let request = pb::BulkPublishRequest {
                    pubsub_name: pubsub.into(),
                    topic: topic.into(),
                    entries: events.iter().enumerate().map(entry).collect(),
                    metadata: Default::default(),
                };
                let reply = self.grpc.clone().bulk_publish_event(self.call(request)).await?.into_inner();
                Ok(reply.failed_entries.into_iter().map(|entry| entry.entry_id).collect())
            }
        }
    }
}
