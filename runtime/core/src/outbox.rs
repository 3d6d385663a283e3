//! The outbox of a state store: with each transaction an event for every item that it saves, and none without it.
//!
//! Before the transaction each event goes to an internal topic, under the name of a marker that the transaction then saves with the
//! state. The relay (see `delivery::relay`) publishes an event once its marker is there. So a crash between any two steps leaves
//! either a message without marker, which is not published, or one with it, which is published when somebody reads it.

use crate::call::{Operation as CallOperation, call};
use crate::cloud_event::{self, Draft};
use crate::encryption::Keys;
use crate::metrics::Family;
use crate::options::Cx;
use crate::runtime::Runtime;
use crate::services::state::{Operation, SetItem};
use proa_host::kinds::pubsub::PublishRequest;
use proa_host::manifest::Kind;
use proa_model::{Error, Metadata, error, lookup};
use proa_resources::is_truthy;
use serde_json::{Map, Value};

/// What a state store's metadata say of its outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub publish_pubsub: String,
    pub publish_topic: String,
    /// The broker of the internal topic.
    pub pubsub: String,
    /// A message whose marker does not come is given up.
    pub discard: bool,
}

impl Config {
    /// None: the store has no outbox.
    pub fn of(properties: &[(String, String)]) -> Option<Self> {
        let get = |name: &str| lookup(properties, name).filter(|v| !v.is_empty()).map(str::to_owned);
        let (publish_pubsub, publish_topic) = (get("outboxPublishPubsub")?, get("outboxPublishTopic")?);
        Some(Self {
            pubsub: get("outboxPubsub").unwrap_or_else(|| publish_pubsub.clone()),
            publish_pubsub,
            publish_topic,
            discard: get("outboxDiscardWhenMissingState").is_some_and(|v| is_truthy(&v)),
        })
    }

    /// The internal topic, as Dapr names it.
    pub fn topic(&self, runtime: &Runtime) -> String {
        let options = runtime.options();
        format!("{}{}{}outbox", options.namespace, options.app_id, self.publish_topic)
    }
}

/// Publishes an event for each item that is saved, and takes the projections out. Gives the markers to save with the rest.
pub async fn announce(
    runtime: &Runtime,
    cx: &Cx,
    config: &Config,
    keys: Option<&Keys>,
    operations: &mut Vec<Operation>,
) -> Result<Vec<String>, Error> {
    let projections = take_projections(operations);
    let failed = |why: String| error::pubsub::outbox(&runtime.options().app_id, &why);
    let mut markers = Vec::new();
    for operation in operations.iter() {
        let Operation::Set(item) = operation else { continue };
        let shown = projections.iter().rev().find(|p| p.key == item.key).unwrap_or(item);
        let marker = format!("outbox-{}", uuid::Uuid::new_v4());
        let event = event(runtime, cx, config, keys, &marker, item, shown).map_err(failed)?;
        let data = cloud_event::to_bytes(&event).map_err(failed)?;
        publish(runtime, &config.pubsub, &config.topic(runtime), &data, None).await.map_err(failed)?;
        markers.push(marker);
    }
    Ok(markers)
}

/// Items that say what to publish in another's place; they are not saved.
fn take_projections(operations: &mut Vec<Operation>) -> Vec<SetItem> {
    let is_projection = |o: &Operation| matches!(o, Operation::Set(i) if i.metadata.iter().any(|(k, v)| k == "outbox.projection" && is_truthy(v)));
    let (projections, rest): (Vec<_>, Vec<_>) = std::mem::take(operations).into_iter().partition(is_projection);
    *operations = rest;
    projections.into_iter().filter_map(|o| if let Operation::Set(item) = o { Some(item) } else { None }).collect()
}

/// The event: its data are those of `shown`, what the metadata of `item` say overrides its attributes.
fn event(
    runtime: &Runtime,
    cx: &Cx,
    config: &Config,
    keys: Option<&Keys>,
    marker: &str,
    item: &SetItem,
    shown: &SetItem,
) -> Result<Map<String, Value>, String> {
    let content_type = lookup(&shown.metadata, "contentType").unwrap_or_default();
    let data = shown.value.published(keys, content_type)?;
    let none = Metadata::new();
    let draft = |content_type| Draft {
        source: &runtime.options().app_id,
        topic: "",
        pubsub: &config.pubsub,
        content_type,
        data: &data,
        metadata: &none,
        traceparent: cx.traceparent.as_deref(),
        tracestate: cx.tracestate.as_deref(),
    };
    // Data that are not what their type says go as text. A CloudEvent is data here like any other.
    let json = if cloud_event::is_cloud_event(content_type) { "application/json" } else { content_type };
    let mut event = cloud_event::envelope(&draft(json)).or_else(|_| cloud_event::envelope(&draft("text/plain")))?;
    if !content_type.is_empty() {
        event.insert("datacontenttype".into(), content_type.into());
    }
    event.insert("id".into(), marker.into());
    for (name, value) in item.metadata.iter().filter(|(name, _)| name != "data" && name != "id") {
        event.insert(name.clone(), value.as_str().into());
    }
    Ok(event)
}

/// Publishes as the runtime itself: scopes count, the policies of the broker apply.
pub async fn publish(runtime: &Runtime, pubsub: &str, topic: &str, data: &[u8], content_type: Option<&str>) -> Result<(), String> {
    let slot = runtime.slots.find(Kind::Pubsub, pubsub).ok_or_else(|| format!("pubsub '{pubsub}' not found"))?;
    if slot.peek().is_some_and(|c| !c.prepared.topics.may_publish(topic)) {
        return Err(format!("topic {topic} is not allowed for app id {}", runtime.options().app_id));
    }
    let operation = CallOperation { family: Family::PubsubEgress, name: topic, read: false };
    let answer = call(runtime, &slot, operation, |lease| {
        let topic = crate::delivery::broker_topic(runtime, lease.prepared.namespaced, topic);
        let request = PublishRequest { topic, data: data.to_vec(), content_type: content_type.map(str::to_owned), metadata: Metadata::new() };
        async move { lease.generation.pubsub().publish(request).await }
    });
    answer.await.map_err(|e| e.to_string())?.map_err(|e| crate::delivery::error_text(&e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::services::state::{Concurrency, Consistency, Value as Stored};
    use bytes::Bytes;

    fn properties(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn both_a_broker_and_a_topic_make_an_outbox() {
        assert!(Config::of(&properties(&[("outboxPublishPubsub", "p")])).is_none());
        let config = Config::of(&properties(&[("outboxPublishPubsub", "p"), ("outboxPublishTopic", "t")])).unwrap();
        assert_eq!((config.pubsub.as_str(), config.discard), ("p", false));
        let pairs = [("outboxPublishPubsub", "p"), ("outboxPublishTopic", "t"), ("outboxPubsub", "q"), ("outboxDiscardWhenMissingState", "true")];
        let config = Config::of(&properties(&pairs)).unwrap();
        assert_eq!((config.pubsub.as_str(), config.discard), ("q", true));
    }

    #[test]
    fn projections_are_taken_out() {
        let item = |key: &str, metadata: &[(&str, &str)]| {
            Operation::Set(SetItem {
                key: key.into(),
                value: Stored::Bytes(Bytes::from_static(b"x")),
                etag: None,
                metadata: properties(metadata),
                concurrency: Concurrency::Unspecified,
                consistency: Consistency::Unspecified,
            })
        };
        let mut operations = vec![item("1", &[]), item("1", &[("outbox.projection", "true")]), item("2", &[("outbox.projection", "no")])];
        let projections = take_projections(&mut operations);
        assert_eq!((projections.len(), operations.len()), (1, 2));
    }
}
