//! The envelope that a subscriber receives for what was published.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proa_harness::{Answer, App, Sidecar, Wire, component};
use serde_json::{Value, json};

over_both_wires!(
    the_envelope_has_every_attribute,
    the_content_type_decides_on_the_data,
    metadata_overrides_attributes,
    a_cloud_event_is_passed_through,
    trace_context_is_carried,
);

/// A sidecar whose app listens on `broker`/`topic`, once it listens.
async fn listening() -> (Sidecar, App) {
    let app = App::start().await;
    app.subscribe(json!([{"pubsubname": "broker", "topic": "topic", "route": "/events"}]));
    app.answer("/events", Answer::ok());
    let sidecar = Sidecar::builder().resource(component("broker", "pubsub.in-memory", &[])).app(&app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    (sidecar, app)
}

async fn delivered(wire: Wire, data: &'static [u8], kind: &str, metadata: &[(&str, &str)]) -> Value {
    let (sidecar, app) = listening().await;
    sidecar.api(wire).await.publish("broker", "topic", data, kind, metadata).await.expect("publish");
    let request = app.wait_for("/events", 1).await.remove(0);
    assert_eq!(request.header("content-type").as_deref(), Some("application/cloudevents+json"));
    request.json()
}

async fn the_envelope_has_every_attribute(wire: Wire) {
    let event = delivered(wire, b"{\"n\": 1}", "application/json", &[]).await;
    assert_eq!(event["data"], json!({"n": 1}));
    for (name, value) in [
        ("source", "app"),
        ("type", "com.dapr.event.sent"),
        ("specversion", "1.0"),
        ("datacontenttype", "application/json"),
        ("topic", "topic"),
        ("pubsubname", "broker"),
    ] {
        assert_eq!(event[name], value, "{name} in {event}");
    }
    assert_eq!(event["id"].as_str().map(str::len), Some(36), "{event}");
    assert!(event["time"].as_str().is_some_and(|time| time.contains('T') && time.len() >= 20), "{event}");
    assert!(event.get("traceid").is_some() && event.get("traceparent").is_some(), "{event}");
    assert_eq!(event.get("data_base64"), None);
}

async fn the_content_type_decides_on_the_data(wire: Wire) {
    let event = delivered(wire, b"a text", "text/plain", &[]).await;
    assert_eq!((&event["data"], &event["datacontenttype"]), (&json!("a text"), &json!("text/plain")));

    let event = delivered(wire, b"no type", "", &[]).await;
    assert_eq!((&event["data"], &event["datacontenttype"]), (&json!("no type"), &json!("text/plain")));

    let event = delivered(wire, &[0, 159, 146, 150], "application/octet-stream", &[]).await;
    assert_eq!(event["data_base64"], BASE64_STANDARD.encode([0, 159, 146, 150]), "{event}");
    assert_eq!(event.get("data"), None, "{event}");
}

async fn metadata_overrides_attributes(wire: Wire) {
    let metadata = [("cloudevent.id", "my-id"), ("cloudevent.source", "elsewhere"), ("cloudevent.type", "custom"), ("cloudevent.subject", "about")];
    let event = delivered(wire, b"x", "text/plain", &metadata).await;
    assert_eq!(
        (&event["id"], &event["source"], &event["type"], &event["subject"]),
        (&json!("my-id"), &json!("elsewhere"), &json!("custom"), &json!("about"))
    );
}

async fn a_cloud_event_is_passed_through(wire: Wire) {
    let body = br#"{"specversion":"1.0","id":"own","source":"own-source","type":"own.type","datacontenttype":"application/json","data":{"n":1},"extra":"kept"}"#;
    let event = delivered(wire, body, "application/cloudevents+json", &[]).await;
    assert_eq!((&event["id"], &event["source"], &event["type"]), (&json!("own"), &json!("own-source"), &json!("own.type")));
    assert_eq!((&event["data"], &event["extra"], &event["topic"]), (&json!({"n": 1}), &json!("kept"), &json!("topic")));
}

async fn trace_context_is_carried(wire: Wire) {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = delivered(wire, b"x", "text/plain", &[("cloudevent.traceparent", parent), ("cloudevent.tracestate", "a=b")]).await;
    assert_eq!((&event["traceparent"], &event["tracestate"]), (&json!(parent), &json!("a=b")), "{event}");
}
