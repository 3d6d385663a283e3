//! A broker is swapped while events are published and received: every publish succeeds, and every published event arrives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proa_harness::redis::Value;
use proa_harness::{Answer, Api, App, BrokerServer, Redis, Sidecar, Wire, against_dapr, component, subscription};
use serde_json::json;

use crate::guests::{annotated, sidecar};
use crate::process::{generation, percentile, resident, swapped, tail};
use crate::{events, swaps};

const PUBLISHERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than a broker keeps an event that nobody acknowledged.
const ARRIVAL: Duration = Duration::from_secs(40);

/// How often each event arrived.
type Arrived = Arc<Mutex<BTreeMap<u64, u32>>>;

#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    swapping: AtomicBool,
    next: AtomicU64,
}

#[derive(Default)]
struct Tally {
    published: Vec<u64>,
    failed: Vec<String>,
    rest: Vec<Duration>,
    swapping: Vec<Duration>,
}

async fn publish(api: Api, signals: Arc<Signals>) -> Tally {
    let mut tally = Tally::default();
    while !signals.stop.load(Ordering::Relaxed) {
        let id = signals.next.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        match api.publish("broker", "orders", json!({ "n": id }).to_string(), "application/json", &[]).await {
            Ok(()) => tally.published.push(id),
            Err(error) => tally.failed.push(format!("{id}: {error:?}")),
        }
        let times = if signals.swapping.load(Ordering::Relaxed) { &mut tally.swapping } else { &mut tally.rest };
        times.push(begun.elapsed());
        tokio::time::sleep(if events() > 0 { PAUSE / 10 } else { PAUSE }).await;
    }
    tally
}

/// An app that takes some time for an event, so that a swap finds some in its hands.
async fn app() -> (App, Arrived) {
    let app = App::start().await;
    let arrived = Arrived::default();
    let seen = arrived.clone();
    app.on("/events", move |request| {
        let number = request.json()["data"]["n"].as_u64().expect("a number");
        *seen.lock().expect("arrived").entry(number).or_default() += 1;
        Answer::ok().after(Duration::from_millis(1))
    });
    (app, arrived)
}

async fn ledger(case: &str, sidecar: &Sidecar, arrived: &Arrived, mut change: impl AsyncFnMut(u32)) {
    let signals = Arc::new(Signals::default());
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        publishers.push(tokio::spawn(publish(sidecar.api(Wire::BOTH[number % 2]).await, signals.clone())));
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    signals.swapping.store(true, Ordering::Relaxed);
    for number in 1..=swaps() {
        change(number).await;
    }
    while signals.next.load(Ordering::Relaxed) < events() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    signals.stop.store(true, Ordering::Relaxed);
    let mut all = Tally::default();
    for publisher in publishers {
        let tally = publisher.await.expect("a publisher");
        all.published.extend(tally.published);
        all.failed.extend(tally.failed);
        all.rest.extend(tally.rest);
        all.swapping.extend(tally.swapping);
    }
    let missing = missing(&all.published, arrived).await;
    let (unique, deliveries) = {
        let arrived = arrived.lock().expect("arrived");
        (arrived.len(), arrived.values().map(|times| u64::from(*times)).sum::<u64>())
    };
    let ms = |times: &mut [Duration], share| percentile(times, share).as_secs_f64() * 1e3;
    println!(
        "reload {case}: {} swaps, {} published, {} failed, {} lost, {} twice; publish p50/p99 steady {:.2}/{:.2} ms, swapping {:.2}/{:.2} ms; {} MiB",
        swaps(),
        all.published.len(),
        all.failed.len(),
        missing.len(),
        deliveries - unique as u64,
        ms(&mut all.rest, 0.5),
        ms(&mut all.rest, 0.99),
        ms(&mut all.swapping, 0.5),
        ms(&mut all.swapping, 0.99),
        resident(sidecar)
    );
    assert!(all.failed.is_empty(), "{case}: failed: {:#?}\nlog:\n{}", all.failed.iter().take(5).collect::<Vec<_>>(), tail(sidecar, 40));
    if case.starts_with("pubsub.in-memory") || case.starts_with("pubsub.jetstream") {
        // Where it was is handed over: what the application has had does not come again.
        assert_eq!(deliveries, unique as u64, "{case}: delivered twice\nlog:\n{}", tail(sidecar, 40));
    }
    assert!(missing.is_empty(), "{case}: lost: {:?}\nlog:\n{}", missing.iter().take(20).collect::<Vec<_>>(), tail(sidecar, 40));
}

/// What has not arrived when time is up.
async fn missing(published: &[u64], arrived: &Arrived) -> Vec<u64> {
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let missing: Vec<u64> = {
            let arrived = arrived.lock().expect("arrived");
            published.iter().filter(|id| !arrived.contains_key(id)).copied().collect()
        };
        if missing.is_empty() || Instant::now() > deadline {
            return missing;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn revision(yaml: &str, number: u32) -> String {
    annotated(yaml, &[("test/revision", &number.to_string())])
}

async fn swapped_broker(case: &str, yaml: &str) {
    let (app, arrived) = app().await;
    let sidecar = sidecar()
        .resource_file("broker.yaml", yaml)
        .resource_file("subscription.yaml", subscription("orders", "broker", "orders", "/events"))
        .app(&app)
        .start()
        .await;
    sidecar.wait_for_subscriptions(1).await;
    let mut number = generation(&sidecar, "broker").await;
    ledger(case, &sidecar, &arrived, async |n| {
        sidecar.write_resource("broker.yaml", &revision(yaml, n));
        number = swapped(&sidecar, "broker", number).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    if against_dapr() {
        return;
    }
    swapped_broker("pubsub.in-memory, YAML edited", &component("broker", "pubsub.in-memory", &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    if against_dapr() {
        return;
    }
    let redis = Redis::start().await;
    let metadata = [("redisHost", redis.host()), ("redeliverInterval", "1s".into()), ("processingTimeout", "4s".into())];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
    swapped_broker("pubsub.redis, YAML edited", &component("broker", "pubsub.redis", &metadata)).await;
    match redis.command(&["XINFO", "GROUPS", "orders"]).await {
        Value::List(groups) => assert_eq!(groups.len(), 1, "one group, whatever was swapped"),
        other => panic!("{other:?}"),
    }
}

/// With Dapr's defaults the queue goes with its last consumer: it is kept for the successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    if against_dapr() {
        return;
    }
    let url = BrokerServer::rabbitmq_vhost().await;
    let metadata = [("connectionString", url.as_str()), ("publisherConfirm", "true"), ("requeueInFailure", "true")];
    swapped_broker("pubsub.rabbitmq, YAML edited", &component("broker", "pubsub.rabbitmq", &metadata)).await;
}

/// Without a durable name, and with new events only: the successor's consumer begins where the one before it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream() {
    if against_dapr() {
        return;
    }
    let server = BrokerServer::nats().await;
    server.stream("all", &["orders"]).await;
    let metadata = [("natsURL", server.url()), ("deliverPolicy", "new".into()), ("concurrency", "parallel".into())];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
    swapped_broker("pubsub.jetstream, YAML edited", &component("broker", "pubsub.jetstream", &metadata)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt3() {
    if against_dapr() {
        return;
    }
    let server = BrokerServer::mosquitto().await;
    swapped_broker("pubsub.mqtt3, YAML edited", &component("broker", "pubsub.mqtt3", &[("url", &server.url())])).await;
}

/// A second subscription comes and goes: the first one does not lose an event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_beside_it() {
    if against_dapr() {
        return;
    }
    let (app, arrived) = app().await;
    app.answer("/others", Answer::ok());
    let sidecar = sidecar()
        .resource_file("broker.yaml", component("broker", "pubsub.in-memory", &[]))
        .resource_file("subscription.yaml", subscription("orders", "broker", "orders", "/events"))
        .app(&app)
        .start()
        .await;
    sidecar.wait_for_subscriptions(1).await;
    ledger("subscription added and removed", &sidecar, &arrived, async |n| {
        let count = async |wanted: usize| {
            sidecar
                .wait_for_metadata(&format!("{wanted} subscriptions"), |metadata| {
                    (metadata["subscriptions"].as_array().map_or(0, Vec::len) == wanted).then_some(())
                })
                .await;
        };
        sidecar.write_resource("second.yaml", &subscription("others", "broker", &format!("others-{n}"), "/others"));
        count(2).await;
        sidecar.remove_resource("second.yaml");
        count(1).await;
    })
    .await;
}
