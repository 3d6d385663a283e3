//! What the app's answer means for an event: done, again, never again.

use std::time::Duration;

use proa_harness::{Answer, Verdict, stays};
use serde_json::json;
use tonic::Code;

use crate::brokers::{AnyApp, Bench};

over_every_broker!(
    dropped_is_not_delivered_again,
    dropped_goes_to_the_dead_letter_topic,
    an_event_nobody_implements_is_dropped,
    an_expired_event_is_not_delivered,
);

/// The app takes what reaches the dead letter topic on `/dead`.
pub fn with_dead_letters(bench: &Bench) {
    bench.app.accept("/dead");
    bench.app.subscribe(json!([
        {"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}, "deadLetterTopic": "dead"},
        {"pubsubname": "broker", "topic": "dead", "routes": {"default": "/dead"}},
    ]));
}

async fn dropped_is_not_delivered_again(bench: Bench) {
    bench.app.verdicts("/events", &[Verdict::Drop]);
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/events", 1).await;
    stays("delivered once", Duration::from_millis(1500), || bench.app.events("/events").len() == 1).await;
}

async fn dropped_goes_to_the_dead_letter_topic(bench: Bench) {
    bench.app.verdicts("/events", &[Verdict::Drop]);
    with_dead_letters(&bench);
    let (_sidecar, api) = bench.start(bench.sidecar(), 2).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/dead", 1).await[0].data, "x");
    assert_eq!(bench.app.events("/events").len(), 1);
}

/// 404 from an HTTP app, unimplemented from a gRPC app.
async fn an_event_nobody_implements_is_dropped(bench: Bench) {
    match &bench.app {
        AnyApp::Http(app) => app.answer("/events", Answer::status(404)),
        AnyApp::Grpc(app) => app.on("/events", |_| Verdict::Fail(Code::Unimplemented)),
    }
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/events", 1).await;
    stays("delivered once", Duration::from_millis(1500), || bench.app.events("/events").len() == 1).await;
}

async fn an_expired_event_is_not_delivered(bench: Bench) {
    bench.app.accept("/events");
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    let expired = json!({"specversion": "1.0", "id": "late", "source": "s", "type": "t", "expiration": "2020-01-01T00:00:00Z", "data": "late"});
    api.publish("broker", "orders", expired.to_string(), "application/cloudevents+json", &[]).await.expect("publish");
    api.publish("broker", "orders", "in time", "text/plain", &[("ttlInSeconds", "60")]).await.expect("publish");
    let events = bench.app.wait_for("/events", 1).await;
    assert_eq!(events[0].data, "in time");
    stays("only the event in time", Duration::from_millis(200), || bench.app.events("/events").len() == 1).await;
}

mod http_answers {
    //! Answers that only HTTP has.

    use proa_harness::Wire;

    use super::*;
    use crate::brokers::Broker;

    /// Publishes one event whose delivery is answered by `answer`, then by success; gives how often it came.
    async fn deliveries(answer: Answer) -> usize {
        let bench = Bench::new(Broker::InMemory, Wire::Http).await;
        let AnyApp::Http(app) = &bench.app else { unreachable!("asked for an HTTP app") };
        app.answers("/events", vec![answer, Answer::ok()]);
        bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}}]));
        let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
        api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
        bench.app.wait_for("/events", 1).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        bench.app.events("/events").len()
    }

    #[tokio::test]
    async fn any_success_without_a_verdict_is_success() {
        for answer in
            [Answer::status(204), Answer::status(202), Answer::ok().body("not json"), Answer::json(json!({})), Answer::json(json!({"status": ""}))]
        {
            assert_eq!(deliveries(answer.clone()).await, 1, "{answer:?}");
        }
    }
}
