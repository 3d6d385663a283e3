//! A million messages wait, and the app is slow or does not answer at all: the sidecar takes what its window has room for.

use std::time::Duration;

use proa_harness::redis::Value;
use proa_harness::{Answer, App, Redis, Sidecar, component, subscription};
use serde_json::json;

use crate::process::resident;

const WAITING: &str = "1000000";
/// What a sidecar may take on top of its rest, in MiB.
const MARGIN: u64 = 48;

async fn a_full_broker() -> Redis {
    let redis = Redis::start().await;
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "datacontenttype": "text/plain", "data": "x".repeat(100)}).to_string();
    let script = "for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'data', ARGV[2]) end return 1";
    assert_eq!(redis.command(&["EVAL", script, "1", "orders", WAITING, &event]).await, Value::Int(1));
    redis
}

/// The memory at rest and the most under pressure.
async fn memory(redis: &Redis, answer: Answer) -> (u64, u64, usize) {
    let app = App::start().await;
    app.answer("/events", answer);
    let broker = component("broker", "pubsub.redis", &[("redisHost", &redis.host()), ("concurrency", "64")]);
    let sidecar = Sidecar::builder().resource(broker).app(&app).log_level("info").start().await;
    let rest = resident(&sidecar);
    sidecar.write_resource("orders.yaml", &subscription("orders", "broker", "orders", "/events"));
    app.wait_for("/events", 1).await;
    let mut most = 0;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(resident(&sidecar));
    }
    (rest, most, app.requests("/events").len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded() {
    let redis = a_full_broker().await;
    for (app, answer) in [("dead", Answer::ok().after(Duration::from_secs(600))), ("slow", Answer::ok().after(Duration::from_millis(50)))] {
        let (rest, most, delivered) = memory(&redis, answer).await;
        println!("pressure: {app} app, {WAITING} waiting: {rest} MiB at rest, {most} MiB at most, {delivered} deliveries");
        assert!(most < rest + MARGIN, "{app} app: from {rest} to {most} MiB");
    }
}
