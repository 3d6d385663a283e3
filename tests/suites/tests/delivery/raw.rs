//! Payloads without an envelope, on either side.

use proa_harness::{Wire, component};
use serde_json::json;

use crate::brokers::{AnyApp, Bench};

over_every_broker!(a_raw_payload_is_wrapped_for_a_raw_subscription, a_raw_event_that_is_no_cloud_event_reaches_a_plain_subscription);

async fn a_raw_payload_is_wrapped_for_a_raw_subscription(bench: Bench) {
    bench.app.accept("/raw");
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "metadata": {"rawPayload": "true"}, "routes": {"default": "/raw"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    api.publish("broker", "orders", "just bytes", "text/plain", &[("rawPayload", "true")]).await.expect("publish");
    match &bench.app {
        AnyApp::Http(app) => {
            let event = app.wait_for("/raw", 1).await.remove(0).json();
            assert_eq!(event["data_base64"], "anVzdCBieXRlcw==", "{event}");
            assert_eq!((&event["type"], &event["topic"], &event["pubsubname"]), (&json!("com.dapr.event.sent"), &json!("orders"), &json!("broker")));
        }
        AnyApp::Grpc(app) => {
            let event = app.wait_for("/raw", 1).await.remove(0);
            assert_eq!(event.data, "just bytes");
        }
    }
}

async fn a_raw_event_that_is_no_cloud_event_reaches_a_plain_subscription(bench: Bench) {
    bench.app.accept("/events");
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    let event =
        json!({"specversion": "1.0", "id": "own", "source": "s", "type": "own.type", "datacontenttype": "application/json", "data": {"n": 1}});
    api.publish("broker", "orders", event.to_string(), "application/cloudevents+json", &[("rawPayload", "true")]).await.expect("publish");
    let event = bench.app.wait_for("/events", 1).await.remove(0);
    assert_eq!((event.id.as_str(), event.kind.as_str(), &event.data), ("own", "own.type", &json!({"n": 1})));
}

/// What lies in the stream: an envelope, or the bytes as they were.
#[tokio::test]
async fn the_broker_stores_the_envelope_or_the_bytes() {
    let redis = proa_harness::Redis::start().await;
    let sidecar = proa_harness::Sidecar::builder().resource(component("broker", "pubsub.redis", &[("redisHost", &redis.host())])).start().await;
    let api = sidecar.api(Wire::Http).await;
    api.publish("broker", "raw", "as it was", "text/plain", &[("rawPayload", "true")]).await.expect("publish");
    api.publish("broker", "wrapped", "as it was", "text/plain", &[]).await.expect("publish");
    let raw = format!("{:?}", redis.command(&["XRANGE", "raw", "-", "+"]).await);
    assert!(raw.contains("\"as it was\"") && !raw.contains("specversion"), "{raw}");
    let wrapped = format!("{:?}", redis.command(&["XRANGE", "wrapped", "-", "+"]).await);
    assert!(wrapped.contains("specversion") && wrapped.contains("as it was"), "{wrapped}");
}
