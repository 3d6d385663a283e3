//! Which path of the app an event takes.

use std::time::Duration;

use proa_harness::stays;
use serde_json::json;

use crate::brokers::Bench;

over_every_broker!(rules_choose_by_type_and_data, without_a_match_and_a_default_it_is_dropped, declared_rules_choose_too);

async fn rules_choose_by_type_and_data(bench: Bench) {
    for path in ["/red", "/large", "/rest"] {
        bench.app.accept(path);
    }
    bench.app.subscribe(json!([{
        "pubsubname": "broker", "topic": "orders",
        "routes": {
            "rules": [
                {"match": "event.type == \"red\"", "path": "/red"},
                {"match": "has(event.data.size) && event.data.size > 10", "path": "/large"},
            ],
            "default": "/rest",
        },
    }]));
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    api.publish("broker", "orders", "{\"size\": 99}", "application/json", &[("cloudevent.type", "red")]).await.expect("publish");
    api.publish("broker", "orders", "{\"size\": 11}", "application/json", &[]).await.expect("publish");
    api.publish("broker", "orders", "{\"size\": 1}", "application/json", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/red", 1).await[0].data["size"], 99);
    assert_eq!(bench.app.wait_for("/large", 1).await[0].data["size"], 11);
    assert_eq!(bench.app.wait_for("/rest", 1).await[0].data["size"], 1);
}

async fn without_a_match_and_a_default_it_is_dropped(bench: Bench) {
    bench.app.accept("/red");
    bench.app.subscribe(json!([{
        "pubsubname": "broker", "topic": "orders", "routes": {"rules": [{"match": "event.type == \"red\"", "path": "/red"}]},
    }]));
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    api.publish("broker", "orders", "other", "text/plain", &[]).await.expect("publish");
    api.publish("broker", "orders", "red", "text/plain", &[("cloudevent.type", "red")]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/red", 1).await[0].data, "red");
    stays("the other event is gone", Duration::from_millis(800), || bench.app.events("/red").len() == 1).await;
}

async fn declared_rules_choose_too(bench: Bench) {
    bench.app.accept("/red");
    bench.app.accept("/rest");
    let yaml = r#"apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata:
  name: routed
spec:
  pubsubname: broker
  topic: orders
  routes:
    rules:
      - match: event.type == "red"
        path: /red
    default: /rest
"#;
    let (_sidecar, api) = bench.start(bench.sidecar().resource(yaml), 1).await;
    api.publish("broker", "orders", "1", "application/json", &[("cloudevent.type", "red")]).await.expect("publish");
    api.publish("broker", "orders", "2", "application/json", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/red", 1).await[0].data, 1);
    assert_eq!(bench.app.wait_for("/rest", 1).await[0].data, 2);
}
