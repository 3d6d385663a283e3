//! What the application's messages mean to core, and what of a message's metadata goes to the application.

use super::{LOG, failure};
use proa_core::app::{AppSubscription, BindingReply, Bulk, ChannelError, DeliveryStatus, Rule};
use proa_model::Metadata;
use proa_protocol::runtime::v1 as pb;
use proa_protocol::runtime::v1::topic_event_response::TopicEventResponseStatus;
use tonic::metadata::{MetadataKey, MetadataMap};

/// Metadata that belong to the broker's message and not to the call.
const NOT_FORWARDED: &[&str] = &["content-type", "content-length"];

/// A subscription from the application's list. Without routes every event goes to the empty path.
pub(super) fn subscription(listed: pb::TopicSubscription) -> AppSubscription {
    let routes = listed.routes.unwrap_or_default();
    let mut rules: Vec<Rule> = routes.rules.into_iter().map(|rule| Rule { match_expr: rule.r#match, path: rule.path }).collect();
    if rules.is_empty() && routes.default.is_empty() {
        rules.push(Rule::default());
    }
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    AppSubscription {
        pubsub_name: listed.pubsub_name,
        topic: listed.topic,
        dead_letter_topic: listed.dead_letter_topic,
        metadata: listed.metadata.into_iter().collect(),
        rules,
        default_path: routes.default,
        bulk: listed.bulk_subscribe.map(|bulk| Bulk {
            enabled: bulk.enabled,
            max_messages: count(bulk.max_messages_count),
            max_await_ms: count(bulk.max_await_duration_ms),
        }),
    }
}

pub(crate) fn verdict(id: &str, status: i32) -> Result<DeliveryStatus, ChannelError> {
    match TopicEventResponseStatus::try_from(status) {
        Ok(TopicEventResponseStatus::Success) => Ok(DeliveryStatus::Success),
        Ok(TopicEventResponseStatus::Retry) => Ok(DeliveryStatus::Retry),
        Ok(TopicEventResponseStatus::Drop) => {
            tracing::warn!(target: LOG, "DROP status returned from app while processing pub/sub event {id}");
            Ok(DeliveryStatus::Drop)
        }
        Err(_) => Err(failure(format!("unknown status returned from app while processing pub/sub event {id}, status: {status}"))),
    }
}

/// Dapr hands on where the data go, not the state; so do we.
pub(super) fn reply(answer: pb::BindingEventResponse) -> BindingReply {
    let parallel = answer.concurrency == i32::from(pb::binding_event_response::BindingEventConcurrency::Parallel);
    BindingReply {
        data: Some(answer.data).filter(|data| !data.is_empty()),
        to: answer.to,
        concurrency: if parallel { "parallel" } else { "sequential" }.to_owned(),
        ..BindingReply::default()
    }
}

/// The message's metadata as gRPC metadata; what gRPC keeps for itself or cannot carry is left out.
pub(super) fn forward(headers: &mut MetadataMap, metadata: &Metadata) {
    for (name, value) in metadata {
        let name = name.to_lowercase();
        if NOT_FORWARDED.contains(&name.as_str()) || name.starts_with("grpc-") || name.ends_with("-bin") {
            continue;
        }
        if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse()) {
            headers.append(name, value);
        }
    }
}
