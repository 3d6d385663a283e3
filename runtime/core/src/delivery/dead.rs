//! Dead letters: what the application does not take is published to another topic of the same broker, as it came.

use super::message::error_text;
use crate::runtime::Runtime;
use crate::slots::Slot;
use proa_host::kinds::pubsub::{Message, PublishRequest};
use std::time::Duration;

/// How long the broker may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The error is told already.
pub(super) async fn bury(runtime: &Runtime, slot: &Slot, topic: &str, message: Message) -> Result<(), String> {
    let origin = message.topic.clone();
    let publishing = publish(runtime, slot, topic, message);
    let outcome = tokio::time::timeout(LIMIT, publishing).await.unwrap_or_else(|_| Err("context deadline exceeded".into()));
    outcome.inspect_err(|why| {
        tracing::error!(
            target: "dapr.runtime.processor.subscription",
            "error sending message to dead letter, origin topic: {origin} dead letter topic {topic} err: {why}"
        );
    })
}

async fn publish(runtime: &Runtime, slot: &Slot, topic: &str, message: Message) -> Result<(), String> {
    let lease = slot.lease().await.ok_or_else(|| format!("pubsub '{}' not found", slot.name))?;
    if !lease.prepared.topics.may_publish(topic) {
        return Err(format!("topic {topic} is not allowed for app id {}", runtime.options().app_id));
    }
    let topic = super::broker_topic(runtime, lease.prepared.namespaced, topic);
    let request = PublishRequest { topic, data: message.data, content_type: message.content_type, metadata: message.metadata };
    let answer = lease.generation.pubsub().publish(request).await.map_err(|e| e.to_string())?;
    answer.map_err(|e| error_text(&e))
}
