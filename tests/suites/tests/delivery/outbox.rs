//! The outbox of a state store: an event for each item of a transaction, and none without it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proa_harness::protocol::common::v1::StateItem;
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::redis::{Fate, Proxy, Words};
use proa_harness::{App, Redis, Sidecar, SidecarBuilder, Wire, against_dapr, component, stays, subscription, until};
use serde_json::{Value, json};

/// One item of a transaction: key, value, metadata.
pub type Item<'a> = (&'a str, Value, &'a [(&'a str, &'a str)]);

/// Saves in one transaction, over either transport.
pub async fn transact(sidecar: &Sidecar, wire: Wire, items: &[Item<'_>]) -> Result<(), String> {
    let metadata = |pairs: &[(&str, &str)]| -> Vec<(String, String)> { pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect() };
    match wire {
        Wire::Http => {
            let operation = |(key, value, pairs): &Item<'_>| {
                let metadata: serde_json::Map<String, Value> = metadata(pairs).into_iter().map(|(n, v)| (n, v.into())).collect();
                json!({"operation": "upsert", "request": {"key": key, "value": value, "metadata": metadata}})
            };
            let body = json!({ "operations": items.iter().map(operation).collect::<Vec<_>>() });
            let reply = sidecar.http().request("POST", "/v1.0/state/store/transaction").body(body.to_string()).try_send().await;
            let reply = reply?;
            if reply.status == 204 { Ok(()) } else { Err(reply.text()) }
        }
        Wire::Grpc => {
            let operation = |(key, value, pairs): &Item<'_>| pb::TransactionalStateOperation {
                operation_type: "upsert".into(),
                request: Some(StateItem {
                    key: (*key).into(),
                    value: value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes().into(),
                    metadata: metadata(pairs).into_iter().collect(),
                    ..Default::default()
                }),
            };
            let operations = items.iter().map(operation).collect();
            let request = pb::ExecuteStateTransactionRequest { store_name: "store".into(), operations, metadata: Default::default() };
            sidecar.grpc().await.execute_state_transaction(request).await.map(drop).map_err(|status| status.message().to_owned())
        }
    }
}

const OUTBOX: [(&str, &str); 2] = [("outboxPublishPubsub", "broker"), ("outboxPublishTopic", "orders")];

fn in_memory(more: &[(&str, &str)]) -> SidecarBuilder {
    Sidecar::builder()
        .resource(component("store", "state.in-memory", &[&OUTBOX[..], more].concat()))
        .resource(component("broker", "pubsub.in-memory", &[]))
        .resource(subscription("orders", "broker", "orders", "/orders"))
}

async fn with_app(builder: SidecarBuilder) -> (Sidecar, App) {
    let app = App::start().await;
    app.answer("/orders", proa_harness::Answer::ok());
    let sidecar = builder.app(&app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    (sidecar, app)
}

macro_rules! over_both_wires {
    ($($case:ident),* $(,)?) => {
        mod http { $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Http).await })* }
        mod grpc { $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Grpc).await })* }
    };
}

over_both_wires!(an_event_for_each_item, metadata_become_attributes, a_projection_is_published_and_not_saved, an_event_goes_through_another_broker);

async fn an_event_for_each_item(wire: Wire) {
    let (sidecar, app) = with_app(in_memory(&[])).await;
    transact(&sidecar, wire, &[("1", json!("a"), &[]), ("2", json!("b"), &[])]).await.expect("transaction");
    let events: Vec<Value> = app.wait_for("/orders", 2).await.iter().map(|request| request.json()).collect();
    let data: BTreeSet<&str> = events.iter().filter_map(|event| event["data"].as_str()).collect();
    assert_eq!(data, ["a", "b"].into());
    for event in &events {
        assert!(event["id"].as_str().is_some_and(|id| id.starts_with("outbox-")), "{event}");
        assert_eq!((&event["topic"], &event["pubsubname"], &event["source"]), (&json!("orders"), &json!("broker"), &json!("app")));
    }
    let saved = sidecar.api(wire).await.get("store", "1").await.expect("saved").value.expect("a value");
    assert_eq!(saved, if wire == Wire::Http { "\"a\"" } else { "a" });
    stays("one event each", Duration::from_millis(500), || app.requests("/orders").len() == 2).await;
}

async fn metadata_become_attributes(wire: Wire) {
    let (sidecar, app) = with_app(in_memory(&[])).await;
    let metadata = [("outbox.cloudevent.origin", "here"), ("type", "order.made"), ("id", "mine"), ("data", "mine")];
    transact(&sidecar, wire, &[("1", json!("a"), &metadata)]).await.expect("transaction");
    let event = app.wait_for("/orders", 1).await[0].json();
    assert_eq!((&event["outbox.cloudevent.origin"], &event["type"], &event["data"]), (&json!("here"), &json!("order.made"), &json!("a")));
    assert_ne!(event["id"], "mine", "the id is the marker's");
}

async fn a_projection_is_published_and_not_saved(wire: Wire) {
    let (sidecar, app) = with_app(in_memory(&[])).await;
    let items: [Item<'_>; 2] = [("1", json!("saved"), &[]), ("1", json!("shown"), &[("outbox.projection", "true")])];
    transact(&sidecar, wire, &items).await.expect("transaction");
    assert_eq!(app.wait_for("/orders", 1).await[0].json()["data"], "shown");
    let saved = sidecar.api(wire).await.get("store", "1").await.expect("saved").value.expect("a value");
    assert_eq!(saved, if wire == Wire::Http { "\"saved\"" } else { "saved" });
    stays("one event", Duration::from_millis(300), || app.requests("/orders").len() == 1).await;
}

/// The internal topic lies on one broker, the events on another.
async fn an_event_goes_through_another_broker(wire: Wire) {
    let redis = Redis::start().await;
    let inner = component("inner", "pubsub.redis", &[("redisHost", &redis.host())]);
    let (sidecar, app) = with_app(in_memory(&[("outboxPubsub", "inner")]).resource(inner)).await;
    transact(&sidecar, wire, &[("1", json!("a"), &[])]).await.expect("transaction");
    assert_eq!(app.wait_for("/orders", 1).await[0].json()["data"], "a");
    let there = redis.command(&["EXISTS", "defaultappordersoutbox"]).await;
    assert_eq!(there, proa_harness::redis::Value::Int(1));
}

#[tokio::test]
async fn nothing_is_saved_when_the_event_cannot_be_announced() {
    let broken = in_memory(&[("outboxPubsub", "missing")]);
    let (sidecar, app) = with_app(broken).await;
    let refusal = transact(&sidecar, Wire::Http, &[("1", json!("a"), &[])]).await.expect_err("a refusal");
    assert!(refusal.contains("ERR_PUBLISH_OUTBOX") && refusal.contains("error while publishing outbox message: "), "{refusal}");
    let refusal = transact(&sidecar, Wire::Grpc, &[("1", json!("a"), &[])]).await.expect_err("a refusal");
    assert!(refusal.starts_with("error while publishing outbox message: "), "{refusal}");
    assert_eq!(sidecar.http().get("/v1.0/state/store/1").await.status, 204);
    assert!(app.requests("/orders").is_empty());
}

/// A message without its transaction: what a crash between the two leaves.
async fn orphan(redis: &Redis) {
    let event = json!({"id": "outbox-orphan", "specversion": "1.0", "source": "app", "type": "t", "datacontenttype": "text/plain", "data": "orphan"});
    redis.command(&["XADD", "defaultappordersoutbox", "*", "data", &event.to_string()]).await;
}

fn on_redis(redis: &Redis, more: &[(&str, &str)]) -> SidecarBuilder {
    let host = redis.host();
    let redis_host = [("redisHost", host.as_str())];
    let quick = [("redisHost", host.as_str()), ("redeliverInterval", "200"), ("processingTimeout", "15000")];
    Sidecar::builder()
        .resource(component("store", "state.redis", &[&redis_host[..], &OUTBOX[..], more].concat()))
        .resource(component("broker", "pubsub.redis", &quick))
        .resource(subscription("orders", "broker", "orders", "/orders"))
}

#[tokio::test]
async fn no_event_without_its_state() {
    let redis = Redis::start().await;
    orphan(&redis).await;
    let (sidecar, app) = with_app(on_redis(&redis, &[("outboxDiscardWhenMissingState", "true")])).await;
    sidecar.logs_contain("outbox state not found, discarding message").await;
    assert!(app.requests("/orders").is_empty());
    // It is said first and settled then.
    until("the message is given up", Duration::from_secs(10), || async {
        let pending = redis.command(&["XPENDING", "defaultappordersoutbox", "app", "-", "+", "10"]).await;
        (pending == proa_harness::redis::Value::List(Vec::new())).then_some(())
    })
    .await;
}

/// A store that cannot be asked is no store without the marker.
#[tokio::test]
async fn nothing_is_given_up_while_the_store_is_silent() {
    if against_dapr() {
        return;
    }
    let (redis, silent) = (Redis::start().await, Arc::new(AtomicBool::new(true)));
    let (quiet, of_marker) = (silent.clone(), |command: &Words| command.iter().any(|word| word.ends_with(b"outbox-orphan")));
    let fate = move |_, command: &Words| if of_marker(command) && quiet.load(Ordering::Relaxed) { Fate::Cut } else { Fate::Pass };
    let store = Proxy::start(&redis.host(), fate).await;
    // What a crash after the transaction leaves.
    orphan(&redis).await;
    redis.command(&["HSET", "outbox-orphan", "data", "0", "version", "1"]).await;
    let settings = [("redisHost", &*store.host()), ("outboxDiscardWhenMissingState", "true")];
    let broker = [("redisHost", &*redis.host()), ("redeliverInterval", "200"), ("processingTimeout", "12000")];
    let builder = Sidecar::builder()
        .resource(component("store", "state.redis", &[&settings[..], &OUTBOX[..]].concat()))
        .resource(component("broker", "pubsub.redis", &broker))
        .resource(subscription("orders", "broker", "orders", "/orders"));
    let (sidecar, app) = with_app(builder).await;
    until("the message to be put off", Duration::from_secs(30), || async {
        sidecar.logs().text().contains("rejecting for later processing").then_some(())
    })
    .await;
    assert!(app.requests("/orders").is_empty());
    silent.store(false, Ordering::Relaxed);
    assert_eq!(app.wait_for("/orders", 1).await[0].json()["data"], "orphan");
}
