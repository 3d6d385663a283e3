//! Publishing: what is accepted and what is refused.

use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Sidecar, SidecarBuilder, Wire, component};
use serde_json::json;
use tonic::Code;

over_both_wires!(
    any_content_is_accepted,
    a_topic_may_contain_slashes,
    several_events_in_one_request,
    an_unknown_broker_is_named,
    without_any_broker,
    an_empty_topic_is_refused,
    a_malformed_raw_flag_is_refused,
    a_malformed_cloud_event_is_refused,
    scopes_forbid_topics,
    protected_topics_need_a_scope,
    duplicate_entry_ids_are_refused,
);

fn with_broker(metadata: &[(&str, &str)]) -> SidecarBuilder {
    Sidecar::builder().resource(component("broker", "pubsub.in-memory", metadata))
}

async fn any_content_is_accepted(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let api = sidecar.api(wire).await;
    for (data, kind) in [("{\"n\":1}", "application/json"), ("text", "text/plain"), ("", ""), ("\u{0}\u{1}", "application/octet-stream")] {
        api.publish("broker", "topic", data, kind, &[]).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
    }
    api.publish("broker", "topic", "raw", "text/plain", &[("rawPayload", "true")]).await.expect("a raw payload");
}

async fn a_topic_may_contain_slashes(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    sidecar.api(wire).await.publish("broker", "a/b/c", "x", "text/plain", &[]).await.expect("publish");
}

async fn several_events_in_one_request(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let failed = sidecar.api(wire).await.publish_bulk("broker", "topic", &[json!(1), json!({"n": 2}), json!("three")]).await;
    assert_eq!(failed.expect("bulk publish"), Vec::<String>::new());
}

async fn an_unknown_broker_is_named(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let api = sidecar.api(wire).await;
    let error = api.publish("nobody", "topic", "x", "", &[]).await.expect_err("an unknown broker");
    error.expect(404, Code::InvalidArgument, "ERR_PUBSUB_NOT_FOUND").reason("DAPR_PUBSUB_NOT_FOUND");
    assert_eq!(error.message, "pubsub nobody is not found");
    let error = api.publish_bulk("nobody", "topic", &[json!(1)]).await.expect_err("an unknown broker");
    error.expect(404, Code::InvalidArgument, "ERR_PUBSUB_NOT_FOUND");
}

/// Without a broker the same error as for an unknown one, in Dapr's words.
async fn without_any_broker(wire: Wire) {
    let sidecar = Sidecar::builder().start().await;
    let error = sidecar.api(wire).await.publish("broker", "topic", "x", "", &[]).await.expect_err("no broker");
    error.expect(404, Code::InvalidArgument, "ERR_PUBSUB_NOT_FOUND").says("broker");
}

async fn an_empty_topic_is_refused(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let error = sidecar.api(wire).await.publish("broker", "", "x", "", &[]).await.expect_err("no topic");
    if wire == Wire::Http {
        // The path without a topic is no path of the API.
        assert_eq!(error.http_status, 404);
        return;
    }
    error.expect(404, Code::InvalidArgument, "ERR_TOPIC_NAME_EMPTY").reason("DAPR_PUBSUB_TOPIC_NAME_EMPTY").about("pubsub", "broker");
    assert_eq!(error.message, "topic is empty in pubsub broker");
}

async fn a_malformed_raw_flag_is_refused(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let error = sidecar.api(wire).await.publish("broker", "topic", "x", "", &[("rawPayload", "perhaps")]).await.expect_err("not a boolean");
    error.expect(400, Code::InvalidArgument, "ERR_PUBSUB_REQUEST_METADATA").reason("DAPR_PUBSUB_METADATA_DESERIALIZATION");
    error.says("rawPayload value must be a valid boolean: actual is 'perhaps'");
}

async fn a_malformed_cloud_event_is_refused(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    let kind = "application/cloudevents+json";
    let error = sidecar.api(wire).await.publish("broker", "topic", "{\"oops", kind, &[]).await.expect_err("not JSON");
    error.expect(500, Code::InvalidArgument, "ERR_PUBSUB_CLOUD_EVENTS_SER").reason("DAPR_PUBSUB_CLOUD_EVENT_CREATION");
    error.says("cannot create cloudevent");
}

async fn scopes_forbid_topics(wire: Wire) {
    let sidecar = with_broker(&[("publishingScopes", "app=open;other=closed")]).start().await;
    let api = sidecar.api(wire).await;
    api.publish("broker", "open", "x", "", &[]).await.expect("a topic in scope");
    let error = api.publish("broker", "closed", "x", "", &[]).await.expect_err("a topic out of scope");
    error.expect(403, Code::PermissionDenied, "ERR_PUBSUB_FORBIDDEN").reason("DAPR_PUBSUB_FORBIDDEN");
    assert_eq!(error.message, "topic closed is not allowed for app id app");

    let sidecar = with_broker(&[("allowedTopics", "one,two")]).start().await;
    let api = sidecar.api(wire).await;
    api.publish("broker", "two", "x", "", &[]).await.expect("an allowed topic");
    api.publish("broker", "three", "x", "", &[]).await.expect_err("any other topic").expect(403, Code::PermissionDenied, "ERR_PUBSUB_FORBIDDEN");
}

async fn protected_topics_need_a_scope(wire: Wire) {
    let sidecar = with_broker(&[("protectedTopics", "guarded,mine"), ("publishingScopes", "app=mine")]).start().await;
    let api = sidecar.api(wire).await;
    api.publish("broker", "mine", "x", "", &[]).await.expect("a protected topic in scope");
    let error = api.publish("broker", "guarded", "x", "", &[]).await.expect_err("a protected topic out of scope");
    error.expect(403, Code::PermissionDenied, "ERR_PUBSUB_FORBIDDEN");
}

async fn duplicate_entry_ids_are_refused(wire: Wire) {
    let sidecar = with_broker(&[]).start().await;
    match wire {
        Wire::Http => {
            let body = json!([{"entryId": "1", "event": 1, "contentType": "application/json"}, {"entryId": "1", "event": 2, "contentType": "application/json"}]);
            let reply = sidecar.http().post("/v1.0/publish/bulk/broker/topic", &body).await.expect_status(400);
            assert_eq!(reply.json()["errorCode"], "ERR_PUBSUB_EVENTS_SER");
        }
        Wire::Grpc => {
            let entry =
                pb::BulkPublishRequestEntry { entry_id: "1".into(), event: "1".into(), content_type: "text/plain".into(), ..Default::default() };
            let request = pb::BulkPublishRequest {
                pubsub_name: "broker".into(),
                topic: "topic".into(),
                entries: vec![entry.clone(), entry],
                ..Default::default()
            };
            let status = sidecar.grpc().await.bulk_publish_event(request).await.expect_err("duplicate ids");
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    }
}
