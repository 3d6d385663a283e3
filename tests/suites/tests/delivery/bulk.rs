//! Several events in one delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use proa_harness::protocol::runtime::v1::topic_event_bulk_request_entry::Event;
use proa_harness::{Answer, Verdict, stays, until};
use serde_json::{Value, json};

use crate::brokers::{AnyApp, Bench, Broker};

over_every_broker!(events_come_in_batches, a_full_batch_does_not_wait, each_entry_has_its_own_fate, raw_entries_come_as_bytes,);

fn subscribe(bench: &Bench, count: i64, wait_ms: i64) {
    let bulk = json!({"enabled": true, "maxMessagesCount": count, "maxAwaitDurationMs": wait_ms});
    bench.app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/bulk"}, "bulkSubscribe": bulk}]));
    if let AnyApp::Http(app) = &bench.app {
        app.on("/bulk", |request| {
            let entries = request.json()["entries"].as_array().cloned().unwrap_or_default();
            let statuses: Vec<Value> = entries.iter().map(|entry| json!({"entryId": entry["entryId"], "status": "SUCCESS"})).collect();
            Answer::json(json!({ "statuses": statuses }))
        });
    }
}

fn number(event: &Event) -> i64 {
    match event {
        Event::CloudEvent(event) => serde_json::from_slice(&event.data).expect("a number"),
        Event::Bytes(bytes) => serde_json::from_slice(bytes).expect("a number"),
    }
}

/// The numbers in every batch so far.
fn batches(bench: &Bench) -> Vec<Vec<i64>> {
    match &bench.app {
        AnyApp::Http(app) => {
            let numbers =
                |body: Value| body["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["event"]["data"].as_i64()).collect();
            app.requests("/bulk").iter().map(|request| numbers(request.json())).collect()
        }
        AnyApp::Grpc(app) => {
            app.bulk_events().iter().map(|bulk| bulk.entries.iter().filter_map(|entry| entry.event.as_ref().map(number)).collect()).collect()
        }
    }
}

async fn arrived(bench: &Bench, count: usize) -> Vec<Vec<i64>> {
    until(&format!("{count} events in batches"), Duration::from_secs(20), || async {
        let batches = batches(bench);
        (batches.iter().map(Vec::len).sum::<usize>() >= count).then_some(batches)
    })
    .await
}

async fn events_come_in_batches(bench: Bench) {
    subscribe(&bench, 10, 300);
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    let events: Vec<Value> = (0..5).map(|n| json!(n)).collect();
    api.publish_bulk("broker", "orders", &events).await.expect("bulk publish");
    let batches = arrived(&bench, 5).await;
    // The in-memory broker of Dapr hands over one event and waits for its verdict, so that no batch ever fills.
    if bench.broker != Broker::InMemory {
        assert!(batches.len() < 5, "{batches:?}");
    }
    assert_eq!(batches.into_iter().flatten().collect::<BTreeSet<_>>(), (0..5).collect());
}

async fn a_full_batch_does_not_wait(bench: Bench) {
    if bench.broker == Broker::InMemory {
        return;
    }
    subscribe(&bench, 3, 60_000);
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    let events: Vec<Value> = (0..6).map(|n| json!(n)).collect();
    api.publish_bulk("broker", "orders", &events).await.expect("bulk publish");
    let batches = arrived(&bench, 6).await;
    assert!(batches.iter().all(|batch| batch.len() <= 3), "{batches:?}");
    assert_eq!(batches.into_iter().flatten().collect::<BTreeSet<_>>(), (0..6).collect());
}

/// Dropped and unanswered entries go to the dead letter topic, what was taken does not.
async fn each_entry_has_its_own_fate(bench: Bench) {
    let bulk = json!({"enabled": true, "maxMessagesCount": 3, "maxAwaitDurationMs": 200});
    bench.app.subscribe(json!([
        {"pubsubname": "broker", "topic": "orders", "routes": {"default": "/bulk"}, "bulkSubscribe": bulk, "deadLetterTopic": "dead"},
        {"pubsubname": "broker", "topic": "dead", "routes": {"default": "/dead"}},
    ]));
    bench.app.accept("/dead");
    match &bench.app {
        AnyApp::Http(app) => app.on("/bulk", |request| {
            let entries = request.json()["entries"].as_array().cloned().unwrap_or_default();
            let status = |entry: &Value| {
                let status = ["SUCCESS", "DROP"].get(entry["event"]["data"].as_u64().expect("a number") as usize)?;
                Some(json!({"entryId": entry["entryId"], "status": status}))
            };
            Answer::json(json!({ "statuses": entries.iter().filter_map(status).collect::<Vec<_>>() }))
        }),
        AnyApp::Grpc(app) => app.on_bulk(|entry| match number(entry.event.as_ref().expect("an event")) {
            0 => Some(Verdict::Success),
            1 => Some(Verdict::Drop),
            _ => None,
        }),
    }
    let (_sidecar, api) = bench.start(bench.sidecar(), 2).await;
    api.publish_bulk("broker", "orders", &[json!(0), json!(1), json!(2)]).await.expect("bulk publish");
    let dead: BTreeSet<i64> = bench.app.wait_for("/dead", 2).await.iter().filter_map(|event| event.data.as_i64()).collect();
    assert_eq!(dead, [1, 2].into());
    stays("what was taken is no dead letter", Duration::from_millis(700), || bench.app.events("/dead").len() == 2).await;
}

async fn raw_entries_come_as_bytes(bench: Bench) {
    let bulk = json!({"enabled": true, "maxMessagesCount": 1, "maxAwaitDurationMs": 100});
    let metadata = json!({"rawPayload": "true"});
    bench
        .app
        .subscribe(json!([{"pubsubname": "broker", "topic": "orders", "routes": {"default": "/bulk"}, "bulkSubscribe": bulk, "metadata": metadata}]));
    if let AnyApp::Http(app) = &bench.app {
        app.answer("/bulk", Answer::json(json!({"statuses": []})));
    }
    let (_sidecar, api) = bench.start(bench.sidecar(), 1).await;
    api.publish("broker", "orders", "plain", "text/plain", &[("rawPayload", "true")]).await.expect("publish");
    let bytes = until("a delivery", Duration::from_secs(20), || async {
        match &bench.app {
            AnyApp::Http(app) => {
                app.requests("/bulk").first().map(|request| request.json()["entries"][0]["event"].as_str().expect("base64").to_owned())
            }
            AnyApp::Grpc(app) => app.bulk_events().first().map(|bulk| match bulk.entries[0].event.as_ref() {
                Some(Event::Bytes(bytes)) => base64::engine::general_purpose::STANDARD.encode(bytes),
                other => panic!("no bytes: {other:?}"),
            }),
        }
    })
    .await;
    assert_eq!(bytes, "cGxhaW4=");
}
