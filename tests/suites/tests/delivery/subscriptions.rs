//! Every source of subscriptions, both app protocols, every broker.

use std::collections::BTreeSet;
use std::time::Duration;

use proa_harness::{Wire, stays, subscription};
use serde_json::json;

use crate::brokers::{AnyApp, Bench, Broker};

over_every_broker!(
    a_programmatic_subscription,
    a_declarative_subscription_of_the_second_version,
    a_declarative_subscription_of_the_first_version,
    both_transports_publish,
    every_event_arrives_once,
    topics_are_kept_apart,
    two_subscriptions_side_by_side,
    a_declared_scope_keeps_others_out,
    the_programmatic_one_replaces_the_declared_one,
    the_brokers_subscription_scopes_are_kept,
    two_apps_both_receive,
    an_app_token_comes_along,
);

async fn a_programmatic_subscription(bench: Bench) {
    bench.app.accept("/events");
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    api.publish("broker", "orders", "{\"n\":1}", "application/json", &[]).await.expect("publish");
    let event = bench.app.wait_for("/events", 1).await.remove(0);
    assert_eq!((event.topic.as_str(), event.pubsub.as_str(), event.kind.as_str()), ("orders", "broker", "com.dapr.event.sent"));
    assert_eq!(event.data, json!({"n": 1}));
    assert!(!event.id.is_empty());
}

async fn a_declarative_subscription_of_the_second_version(bench: Bench) {
    bench.app.accept("/declared");
    let builder = bench.sidecar().resource(subscription("one", "broker", "orders", "/declared"));
    let (_sidecar, api) = bench.start(builder, 1).await;
    api.publish("broker", "orders", "text", "text/plain", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/declared", 1).await[0].data, "text");
}

async fn a_declarative_subscription_of_the_first_version(bench: Bench) {
    bench.app.accept("/old");
    let yaml =
        "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata:\n  name: old\nspec:\n  pubsubname: broker\n  topic: orders\n  route: /old\n";
    let (_sidecar, api) = bench.start(bench.sidecar().resource(yaml), 1).await;
    api.publish("broker", "orders", "text", "text/plain", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/old", 1).await[0].data, "text");
}

async fn both_transports_publish(bench: Bench) {
    bench.app.accept("/events");
    let (sidecar, http) = bench.subscribed("orders", "/events").await;
    let grpc = sidecar.api(Wire::Grpc).await;
    http.publish("broker", "orders", "1", "application/json", &[]).await.expect("publish");
    grpc.publish("broker", "orders", "2", "application/json", &[]).await.expect("publish");
    http.publish_bulk("broker", "orders", &[json!(3), json!(4)]).await.expect("bulk publish");
    grpc.publish_bulk("broker", "orders", &[json!(5), json!(6)]).await.expect("bulk publish");
    let events = bench.app.wait_for("/events", 6).await;
    let numbers: BTreeSet<i64> = events.iter().filter_map(|event| event.data.as_i64()).collect();
    assert_eq!(numbers, (1..=6).collect());
}

async fn every_event_arrives_once(bench: Bench) {
    const EVENTS: i64 = 200;
    bench.app.accept("/events");
    let (_sidecar, api) = bench.subscribed("orders", "/events").await;
    for n in 0..EVENTS {
        api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.expect("publish");
    }
    let events = bench.app.wait_for("/events", EVENTS as usize).await;
    let mut numbers: Vec<i64> = events.iter().filter_map(|event| event.data.as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
    stays("no event came twice", Duration::from_millis(500), || bench.app.events("/events").len() == EVENTS as usize).await;
}

async fn topics_are_kept_apart(bench: Bench) {
    bench.app.accept("/a");
    let (_sidecar, api) = bench.subscribed("a", "/a").await;
    api.publish("broker", "b", "wrong", "text/plain", &[]).await.expect("publish");
    api.publish("broker", "a", "right", "text/plain", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/a", 1).await[0].data, "right");
    stays("only one event", Duration::from_millis(200), || bench.app.events("/a").len() == 1).await;
}

async fn two_subscriptions_side_by_side(bench: Bench) {
    bench.app.accept("/one");
    bench.app.accept("/two");
    bench.app.subscribe(json!([
        {"pubsubname": "broker", "topic": "one", "routes": {"default": "/one"}},
        {"pubsubname": "broker", "topic": "two", "routes": {"default": "/two"}},
    ]));
    let (_sidecar, api) = bench.start(bench.sidecar(), 2).await;
    api.publish("broker", "two", "2", "application/json", &[]).await.expect("publish");
    api.publish("broker", "one", "1", "application/json", &[]).await.expect("publish");
    assert_eq!(bench.app.wait_for("/one", 1).await[0].data, 1);
    assert_eq!(bench.app.wait_for("/two", 1).await[0].data, 2);
}

async fn a_declared_scope_keeps_others_out(bench: Bench) {
    let theirs = format!("{}scopes: [other]\n", subscription("theirs", "broker", "theirs", "/theirs"));
    let mine = format!("{}scopes: [app]\n", subscription("mine", "broker", "mine", "/mine"));
    bench.app.accept("/theirs");
    bench.app.accept("/mine");
    let (_sidecar, api) = bench.start(bench.sidecar().resource(theirs).resource(mine), 1).await;
    api.publish("broker", "theirs", "x", "text/plain", &[]).await.expect("publish");
    api.publish("broker", "mine", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/mine", 1).await;
    stays("nothing for the other app", Duration::from_millis(200), || bench.app.events("/theirs").is_empty()).await;
}

async fn the_programmatic_one_replaces_the_declared_one(bench: Bench) {
    bench.app.accept("/declared");
    bench.app.accept("/programmed");
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/programmed"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar().resource(subscription("one", "broker", "orders", "/declared")), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/programmed", 1).await;
    stays("the declared route is silent", Duration::from_millis(200), || bench.app.events("/declared").is_empty()).await;
}

async fn the_brokers_subscription_scopes_are_kept(bench: Bench) {
    if bench.broker != Broker::InMemory {
        return;
    }
    bench.app.accept("/open");
    bench.app.accept("/closed");
    bench.app.subscribe(json!([
        {"pubsubname": "scoped", "topic": "open", "routes": {"default": "/open"}},
        {"pubsubname": "scoped", "topic": "closed", "routes": {"default": "/closed"}},
    ]));
    let scoped = proa_harness::component("scoped", "pubsub.in-memory", &[("subscriptionScopes", "app=open")]);
    let (_sidecar, api) = bench.start(bench.sidecar().resource(scoped), 1).await;
    api.publish("scoped", "closed", "x", "text/plain", &[]).await.expect("publish");
    api.publish("scoped", "open", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/open", 1).await;
    stays("nothing out of scope", Duration::from_millis(200), || bench.app.events("/closed").is_empty()).await;
}

/// Through one broker, two apps are two consumers: each receives every event. The in-memory one is the sidecar's own.
async fn two_apps_both_receive(bench: Bench) {
    if bench.broker == Broker::InMemory {
        return;
    }
    bench.app.accept("/events");
    let (_first, api) = bench.subscribed("orders", "/events").await;
    let (_second, _) = bench.start(bench.sidecar().app_id("second"), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let events = bench.app.wait_for("/events", 2).await;
    assert_eq!(events[0].id, events[1].id);
}

async fn an_app_token_comes_along(bench: Bench) {
    bench.app.accept("/events");
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/events"}}]));
    let (_sidecar, api) = bench.start(bench.sidecar().env("APP_API_TOKEN", "for the app"), 1).await;
    api.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    bench.app.wait_for("/events", 1).await;
    let token = match &bench.app {
        AnyApp::Http(app) => app.requests("/events")[0].header("dapr-api-token"),
        AnyApp::Grpc(app) => app.tokens()[0].clone(),
    };
    assert_eq!(token.as_deref(), Some("for the app"));
}
