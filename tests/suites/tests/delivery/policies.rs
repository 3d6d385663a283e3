//! Retries by the resiliency policy of the broker.

use std::time::Duration;

use proa_harness::{Answer, Verdict, Wire, stays};
use serde_json::json;
use tonic::Code;

use crate::brokers::{AnyApp, Bench, Broker};

const POLICY: &str = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: policy\nspec:\n  policies:\n    retries:\n      quick:\n        policy: constant\n        duration: 20ms\n        maxRetries: 3\n  targets:\n    components:\n      broker:\n        inbound:\n          retry: quick\n";

over_every_broker!(retried_by_policy_until_success, a_failing_app_is_retried_by_policy, given_up_goes_to_the_dead_letter_topic,);

async fn retried_by_policy_until_success(bench: Bench) {
    bench.app.verdicts("/events", &[Verdict::Retry, Verdict::Retry, Verdict::Success]);
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar().resource(POLICY), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let events = bench.app.wait_for("/events", 3).await;
    assert!(events.iter().all(|event| event.id == events[0].id), "{events:?}");
    stays("not delivered after its success", Duration::from_millis(1000), || bench.app.events("/events").len() == 3).await;
}

async fn a_failing_app_is_retried_by_policy(bench: Bench) {
    bench.app.verdicts("/events", &[Verdict::Fail(Code::Internal), Verdict::Success]);
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar().resource(POLICY), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/events", 2).await;
    stays("not delivered after its success", Duration::from_millis(1000), || bench.app.events("/events").len() == 2).await;
}

async fn given_up_goes_to_the_dead_letter_topic(bench: Bench) {
    bench.app.verdicts("/events", &[Verdict::Retry]);
    super::answers::with_dead_letters(&bench);
    let (_sidecar, api) = bench.start(bench.sidecar().resource(POLICY), 2).await;
    api.publish("broker", "orders", "{\"n\":1}", "application/json", &[]).await.expect("publish");
    let dead = bench.app.wait_for("/dead", 1).await.remove(0);
    assert_eq!(dead.data, json!({"n": 1}));
    assert_eq!(bench.app.events("/events").len(), 4, "one attempt and three retries");
    assert_eq!(dead.id, bench.app.events("/events")[0].id);
}

async fn deliveries(answer: Answer) -> usize {
    let bench = Bench::new(Broker::InMemory, Wire::Http).await;
    let AnyApp::Http(app) = &bench.app else { unreachable!("asked for an HTTP app") };
    app.answers("/events", vec![answer, Answer::ok()]);
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar().resource(POLICY), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/events", 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    bench.app.events("/events").len()
}

#[tokio::test]
async fn an_error_or_an_unknown_verdict_is_a_retry() {
    for answer in [Answer::status(500), Answer::status(503), Answer::status(400), Answer::verdict("PERHAPS")] {
        assert_eq!(deliveries(answer.clone()).await, 2, "{answer:?}");
    }
}
