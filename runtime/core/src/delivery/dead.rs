//! Dead letters: what the application does not take is published to another topic of the same broker, as it came.

use super::message::error_text;
use crate::call::guarded;
use crate::resiliency::{Judged, Stopped};
use crate::runtime::Runtime;
use crate::slots::Slot;
use proa_host::kinds::pubsub::{Error, Message, PublishRequest};
use std::time::Duration;

/// How long the broker may take, retries included.
const LIMIT: Duration = Duration::from_secs(30);

/// The error is told already.
pub(super) async fn bury(runtime: &Runtime, slot: &Slot, topic: &str, message: Message) -> Result<(), String> {
    let origin = message.topic.clone();
    let publishing = publish(runtime, slot, topic, message);
    let outcome = tokio::time::timeout(LIMIT, publishing).await.unwrap_or_else(|_| Err(Stopped::Timeout.to_string()));
    outcome.inspect_err(|why| {
        tracing::error!(
            target: "dapr.runtime.processor.subscription",
            "error sending message to dead letter, origin topic: {origin} dead letter topic {topic} err: {why}"
        );
    })
}

/// Under the policies of the broker, as any publication.
async fn publish(runtime: &Runtime, slot: &Slot, topic: &str, message: Message) -> Result<(), String> {
    let current = slot.peek().ok_or_else(|| format!("pubsub '{}' not found", slot.name))?;
    if !current.prepared.topics.may_publish(topic) {
        return Err(format!("topic {topic} is not allowed for app id {}", runtime.options().app_id));
    }
    drop(current);
    let Message { data, content_type, metadata, .. } = message;
    let answer = guarded(runtime, slot, false, None, Error::verdict, |lease| {
        let topic = super::broker_topic(runtime, lease.prepared.namespaced, topic);
        let request = PublishRequest { topic, data: data.clone(), content_type: content_type.clone(), metadata: metadata.clone() };
        async move { lease.generation.pubsub().publish(request).await }
    });
    answer.await.map_err(|e| e.to_string())?.map_err(|e| error_text(&e))
}
