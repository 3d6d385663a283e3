//! What Redis keeps: events survive an app that fails, a sidecar that dies and a consumer that vanished.

use std::time::Duration;

use proa_harness::{Answer, App, Redis, Sidecar, SidecarBuilder, Verdict, Wire, against_dapr, component, stays, until};
use serde_json::json;

use crate::brokers::{Bench, Broker};

fn broker(redis: &Redis) -> String {
    component("broker", "pubsub.redis", &[("redisHost", &redis.host()), ("redeliverInterval", "200"), ("processingTimeout", "500")])
}

fn with_app(redis: &Redis, app: &App) -> SidecarBuilder {
    app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "route": "/events"}]));
    Sidecar::builder().resource(broker(redis)).app(app)
}

/// How many events of the group are neither acknowledged nor given up.
async fn pending(redis: &Redis) -> i64 {
    match redis.command(&["XPENDING", "orders", "app"]).await {
        proa_harness::redis::Value::List(list) => list[0].int(),
        other => panic!("{other:?}"),
    }
}

/// Dapr 1.18 acknowledges an event that the app refused, which loses it unless a policy retries: this project keeps it
/// pending until it is processed.
async fn redelivered(wire: Wire) {
    if against_dapr() {
        return;
    }
    let bench = Bench::new(Broker::Redis, wire).await;
    bench.app.verdicts("/events", &[Verdict::Retry, Verdict::Fail(tonic::Code::Internal), Verdict::Success]);
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let events = bench.app.wait_for("/events", 3).await;
    assert!(events.iter().all(|event| event.id == events[0].id), "{events:?}");
    stays("not again after its success", Duration::from_millis(1500), || bench.app.events("/events").len() == 3).await;
}

#[tokio::test]
async fn a_refused_event_comes_again_over_http() {
    redelivered(Wire::Http).await;
}

#[tokio::test]
async fn a_refused_event_comes_again_over_grpc() {
    redelivered(Wire::Grpc).await;
}

/// The app does not answer within the time an event may take: it is delivered again.
#[tokio::test]
async fn an_event_that_takes_too_long_comes_again() {
    let redis = Redis::start().await;
    let app = App::start().await;
    let sidecar = with_app(&redis, &app).start().await;
    app.answers("/events", vec![Answer::ok().after(Duration::from_secs(20)), Answer::ok()]);
    sidecar.wait_for_subscriptions(1).await;
    sidecar.api(Wire::Http).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let events = app.wait_for("/events", 2).await;
    assert_eq!(events[0].json()["id"], events[1].json()["id"]);
    until("its acknowledgement", Duration::from_secs(5), || async { (pending(&redis).await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn events_published_without_a_subscriber_wait() {
    let redis = Redis::start().await;
    let publisher = Sidecar::builder().app_id("publisher").resource(broker(&redis)).start().await;
    let api = publisher.api(Wire::Http).await;
    for n in 0..5 {
        api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.expect("publish");
    }
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let _subscriber = with_app(&redis, &app).start().await;
    let mut numbers: Vec<i64> = app.wait_for("/events", 5).await.iter().filter_map(|event| event.json()["data"].as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    until("every acknowledgement", Duration::from_secs(5), || async { (pending(&redis).await == 0).then_some(()) }).await;
}

/// The event is in the hands of a sidecar that dies before the app answers: its successor takes it over.
#[tokio::test]
async fn an_event_in_flight_survives_a_killed_sidecar() {
    let redis = Redis::start().await;
    let slow = App::start().await;
    slow.answer("/events", Answer::ok().after(Duration::from_secs(60)));
    let first = with_app(&redis, &slow).start().await;
    first.api(Wire::Http).await.publish("broker", "orders", "precious", "text/plain", &[]).await.expect("publish");
    let seen = slow.wait_for("/events", 1).await.remove(0).json();
    drop(first);

    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let _second = with_app(&redis, &app).start().await;
    let event = app.wait_for("/events", 1).await.remove(0).json();
    assert_eq!((&event["id"], &event["data"]), (&seen["id"], &json!("precious")));
    until("its acknowledgement", Duration::from_secs(5), || async { (pending(&redis).await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn two_replicas_share_the_events() {
    let redis = Redis::start().await;
    let (one, two) = (App::start().await, App::start().await);
    for app in [&one, &two] {
        app.answer("/events", Answer::ok());
    }
    let first = with_app(&redis, &one).start().await;
    let second = with_app(&redis, &two).start().await;
    first.wait_for_subscriptions(1).await;
    second.wait_for_subscriptions(1).await;
    let api = first.api(Wire::Http).await;
    for n in 0..100 {
        api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.expect("publish");
    }
    let count = || one.requests("/events").len() + two.requests("/events").len();
    until("a hundred events", Duration::from_secs(20), || async { (count() >= 100).then_some(()) }).await;
    stays("each event once", Duration::from_millis(500), || count() == 100).await;
}

#[tokio::test]
async fn a_password_is_used_and_a_wrong_one_is_fatal() {
    let redis = Redis::builder().password("open sesame").start().await;
    let with = |password: &str| {
        let metadata = [("redisHost", redis.host()), ("redisPassword", password.to_owned())];
        let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
        component("broker", "pubsub.redis", &metadata)
    };
    let sidecar = Sidecar::builder().resource(with("open sesame")).start().await;
    sidecar.api(Wire::Http).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    assert_eq!(redis.command(&["XLEN", "orders"]).await.int(), 1);
    let stopped = Sidecar::builder().resource(with("wrong")).start_failing().await;
    assert_ne!(stopped.code, Some(0));
    assert!(stopped.logs.contain("Failed to init component broker"), "{}", stopped.logs.text());
}

/// The broker goes away and comes back empty: delivery resumes without a restart of the sidecar.
#[tokio::test]
async fn delivery_resumes_after_the_broker_was_away() {
    let mut redis = Redis::start().await;
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let sidecar = with_app(&redis, &app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    let api = sidecar.api(Wire::Http).await;
    api.publish("broker", "orders", "before", "text/plain", &[]).await.expect("publish");
    app.wait_for("/events", 1).await;
    redis.kill().await;
    api.publish("broker", "orders", "lost", "text/plain", &[]).await.expect_err("a broker that is away");
    redis.resume().await;
    until("an event after the pause", Duration::from_secs(30), || async {
        // The group went with the data: events published before it is made again are not for it.
        let _ = api.publish("broker", "orders", "after", "text/plain", &[]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        app.requests("/events").iter().any(|event| event.json()["data"] == "after").then_some(())
    })
    .await;
}
