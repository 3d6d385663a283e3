//! Several events in one delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use proa_harness::{Answer, until};
use serde_json::{Value, json};

use crate::brokers::{AnyApp, Bench, Broker};

over_every_broker!(events_come_in_batches, a_full_batch_does_not_wait);

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

/// The numbers in every batch so far.
fn batches(bench: &Bench) -> Vec<Vec<i64>> {
    match &bench.app {
        AnyApp::Http(app) => {
            let numbers =
                |body: Value| body["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["event"]["data"].as_i64()).collect();
            app.requests("/bulk").iter().map(|request| numbers(request.json())).collect()
        }
        AnyApp::Grpc(app) => {
            use proa_harness::protocol::runtime::v1::topic_event_bulk_request_entry::Event;
            let number = |event: &Event| match event {
                Event::CloudEvent(event) => serde_json::from_slice(&event.data).expect("a number"),
                Event::Bytes(bytes) => serde_json::from_slice(bytes).expect("a number"),
            };
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
    if bench.broker == Broker::Redis {
        assert!(batches.len() < 5, "{batches:?}");
    }
    assert_eq!(batches.into_iter().flatten().collect::<BTreeSet<_>>(), (0..5).collect());
}

async fn a_full_batch_does_not_wait(bench: Bench) {
    if bench.broker != Broker::Redis {
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
