//! Publish and subscribe.

use super::{Error, Grpc};
use std::collections::BTreeMap;

const CATEGORY: &str = "pubsub";

/// The metadata that errors before the broker is asked carry.
pub fn app_metadata(app_id: &str, error: Option<&str>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([("appID".to_owned(), app_id.to_owned())]);
    if let Some(error) = error {
        metadata.insert("error".into(), error.to_owned());
    }
    metadata
}

fn build(code: &'static str, reason: &'static str, http: u16, grpc: Grpc, message: String, metadata: BTreeMap<String, String>) -> Error {
    let mut error = Error::plain(CATEGORY, code, http, grpc, message).reason(reason);
    error.metadata = metadata;
    error
}

fn owned(error: Error, pubsub: &str) -> Error {
    let message = error.message.clone();
    error.resource("pubsub", pubsub, "", &message)
}

fn topic_metadata(topic: &str, error: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("topic".to_owned(), topic.to_owned()), ("error".to_owned(), error.to_owned())])
}

pub fn name_empty(app_id: &str) -> Error {
    let metadata = app_metadata(app_id, None);
    owned(build("ERR_PUBSUB_EMPTY", "DAPR_PUBSUB_NAME_EMPTY", 404, Grpc::InvalidArgument, "pubsub name is empty".into(), metadata), "")
}

pub fn not_found(pubsub: &str, app_id: &str) -> Error {
    let message = format!("pubsub {pubsub} is not found");
    build("ERR_PUBSUB_NOT_FOUND", "DAPR_PUBSUB_NOT_FOUND", 404, Grpc::InvalidArgument, message, app_metadata(app_id, None))
}

pub fn not_configured(pubsub: &str, app_id: &str) -> Error {
    let message = format!("pubsub {pubsub} is not configured");
    build("ERR_PUBSUB_NOT_CONFIGURED", "DAPR_PUBSUB_NOT_CONFIGURED", 400, Grpc::FailedPrecondition, message, app_metadata(app_id, None))
}

pub fn topic_empty(pubsub: &str, app_id: &str) -> Error {
    let message = format!("topic is empty in pubsub {pubsub}");
    owned(build("ERR_TOPIC_NAME_EMPTY", "DAPR_PUBSUB_TOPIC_NAME_EMPTY", 404, Grpc::InvalidArgument, message, app_metadata(app_id, None)), pubsub)
}

pub fn forbidden(pubsub: &str, topic: &str, app_id: &str, why: &str) -> Error {
    let message = format!("topic {topic} is not allowed for app id {app_id}");
    owned(build("ERR_PUBSUB_FORBIDDEN", "DAPR_PUBSUB_FORBIDDEN", 403, Grpc::PermissionDenied, message, topic_metadata(topic, why)), pubsub)
}

/// The broker was there when the request came and is gone now.
pub fn vanished(pubsub: &str, topic: &str) -> Error {
    let message = format!("pubsub '{pubsub}' not found");
    owned(build("ERR_PUBSUB_NOT_FOUND", "DAPR_PUBSUB_TEST_NOT_FOUND", 400, Grpc::NotFound, message.clone(), topic_metadata(topic, &message)), pubsub)
}

pub fn publish(pubsub: &str, topic: &str, why: &str) -> Error {
    let message = format!("error when publishing to topic {topic} in pubsub {pubsub}: {why}");
    owned(build("ERR_PUBSUB_PUBLISH_MESSAGE", "DAPR_PUBSUB_PUBLISH_MESSAGE", 500, Grpc::Internal, message, topic_metadata(topic, why)), pubsub)
}

pub fn metadata(pubsub: &str, app_id: &str, why: &str) -> Error {
    let message = format!("failed deserializing metadata. Error: {why}");
    let metadata = app_metadata(app_id, Some(why));
    owned(build("ERR_PUBSUB_REQUEST_METADATA", "DAPR_PUBSUB_METADATA_DESERIALIZATION", 400, Grpc::InvalidArgument, message, metadata), pubsub)
}

pub fn cloud_event(pubsub: &str, app_id: &str, why: &str) -> Error {
    let metadata = app_metadata(app_id, Some(why));
    let message = "cannot create cloudevent".into();
    owned(build("ERR_PUBSUB_CLOUD_EVENTS_SER", "DAPR_PUBSUB_CLOUD_EVENT_CREATION", 500, Grpc::InvalidArgument, message, metadata), pubsub)
}

pub fn marshal_envelope(pubsub: &str, topic: &str, app_id: &str, why: &str) -> Error {
    let message = format!("error when marshalling cloud event envelope for topic {topic} pubsub {pubsub}: {why}");
    let metadata = app_metadata(app_id, Some(why));
    owned(build("ERR_PUBSUB_EVENTS_SER", "DAPR_PUBSUB_MARSHAL_ENVELOPE", 400, Grpc::InvalidArgument, message, metadata), pubsub)
}

pub fn marshal_events(pubsub: &str, topic: &str, app_id: &str, why: &str) -> Error {
    let message = format!("error marshaling events to bytes for topic {topic} pubsub {pubsub}. error: {why}");
    let metadata = app_metadata(app_id, Some(why));
    owned(build("ERR_PUBSUB_EVENTS_SER", "DAPR_PUBSUB_MARSHAL_EVENTS", 400, Grpc::InvalidArgument, message, metadata), pubsub)
}

pub fn unmarshal_events(pubsub: &str, topic: &str, app_id: &str, why: &str) -> Error {
    let message = format!("error when unmarshaling the request for topic {topic} pubsub {pubsub}: {why}");
    let metadata = app_metadata(app_id, Some(why));
    owned(build("ERR_PUBSUB_EVENTS_SER", "DAPR_PUBSUB_UNMARSHAL_EVENTS", 400, Grpc::InvalidArgument, message, metadata), pubsub)
}

/// The event of a transaction could not be announced: the transaction does not take place.
pub fn outbox(app_id: &str, why: &str) -> Error {
    let message = format!("error while publishing outbox message: {why}");
    build("ERR_PUBLISH_OUTBOX", "DAPR_PUBSUB_OUTBOX", 500, Grpc::Internal, message, app_metadata(app_id, Some(why)))
}
