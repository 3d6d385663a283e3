//! More messages than memory wait, and the app is slow or does not answer at all: the sidecar takes what its window has room for.
//! `PROA_WAITING` sets how many messages wait.

use std::time::{Duration, Instant};

use futures::future::join_all;
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::redis::Value;
use proa_harness::{Answer, App, Redis, Reply, Sidecar, component, subscription};
use serde_json::json;

use crate::process::resident;

/// What a sidecar may take on top of its rest and of what its broker may hold, in MiB.
const MARGIN: u64 = 48;
/// What `pubsub.in-memory` holds for a subscriber: so many messages, or so many MiB.
const HELD: (usize, u64) = (100_000, 64);
/// How long it lets a publisher wait for room.
const PATIENCE: Duration = Duration::from_secs(30);

fn waiting() -> Option<usize> {
    std::env::var("PROA_WAITING").ok().and_then(|count| count.parse().ok())
}

async fn a_full_broker(messages: usize) -> Redis {
    let redis = Redis::start().await;
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "datacontenttype": "text/plain", "data": "x".repeat(100)}).to_string();
    let script = "for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'data', ARGV[2]) end return 1";
    assert_eq!(redis.command(&["EVAL", script, "1", "orders", &messages.to_string(), &event]).await, Value::Int(1));
    redis
}

/// The memory at rest and the most under pressure.
async fn memory(redis: &Redis, answer: Answer, span: Duration) -> (u64, u64, usize) {
    let app = App::start().await;
    app.answer("/events", answer);
    let broker = component("broker", "pubsub.redis", &[("redisHost", &redis.host()), ("concurrency", "64")]);
    let sidecar = Sidecar::builder().resource(broker).app(&app).log_level("info").start().await;
    let rest = resident(&sidecar);
    sidecar.write_resource("orders.yaml", &subscription("orders", "broker", "orders", "/events"));
    app.wait_for("/events", 1).await;
    let (mut most, end) = (0, Instant::now() + span);
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(resident(&sidecar));
    }
    (rest, most, app.requests("/events").len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded() {
    let (messages, span) = waiting().map_or((100_000, 5), |count| (count, 30));
    let redis = a_full_broker(messages).await;
    for (app, answer) in [("dead", Answer::ok().after(Duration::from_secs(600))), ("slow", Answer::ok().after(Duration::from_millis(50)))] {
        let (rest, most, delivered) = memory(&redis, answer, Duration::from_secs(span)).await;
        println!("pressure: {app} app, {messages} waiting: {rest} MiB at rest, {most} MiB at most in {span} s, {delivered} deliveries");
        assert!(most < rest + MARGIN, "{app} app: from {rest} to {most} MiB");
    }
}

async fn publish(sidecar: &Sidecar, data: &str) -> Reply {
    sidecar.http().request("POST", "/v1.0/publish/broker/orders").header("content-type", "text/plain").body(data.to_owned()).send().await
}

/// Publishes until nothing is taken any more, and gives the number of what was.
async fn fill(sidecar: &Sidecar, data: &str, most: usize) -> usize {
    let publisher = |share: usize| async move {
        let mut taken = 0;
        for _ in 0..share {
            match tokio::time::timeout(Duration::from_secs(2), publish(sidecar, data)).await {
                Ok(reply) => drop(reply.expect_status(204)),
                Err(_) => break,
            }
            taken += 1;
        }
        taken
    };
    join_all((0..16).map(|_| publisher(most / 16))).await.into_iter().sum()
}

/// A broker inside the sidecar holds as much as it says. Then publishers wait, and go on when there is room or are told that there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_in_memory_takes_what_it_says() {
    let app = App::start().await;
    // It comes to itself, or does not.
    let pause = if waiting().is_none() { PATIENCE / 2 } else { Duration::from_secs(600) };
    app.answers("/events", vec![Answer::ok().after(pause), Answer::ok()]);
    let sidecar = Sidecar::builder()
        .resource(component("broker", "pubsub.in-memory", &[]))
        .resource(subscription("orders", "broker", "orders", "/events"))
        .app(&app)
        .log_level("info")
        .start()
        .await;
    sidecar.wait_for_subscriptions(1).await;
    let rest = resident(&sidecar);
    // Few large ones come to the bound of the bytes in no time, many small ones to that of the count.
    let (size, wanted) = waiting().map_or((256 << 10, 1024), |count| (100, count));
    let data = "x".repeat(size);
    let taken = fill(&sidecar, &data, wanted).await;
    let most = resident(&sidecar);
    println!("pressure: in memory, {taken} of {wanted} messages of {size} bytes taken: {rest} MiB at rest, {most} MiB full");
    assert!(taken < wanted, "there is no end: {taken}");
    if wanted > HELD.0 {
        assert!(taken + 100 > HELD.0, "{taken} taken");
    }
    assert!(most < rest + HELD.1 * 2 + MARGIN, "from {rest} to {most} MiB");
    // By a client that waits longer than the broker does.
    let request = pb::PublishEventRequest { pubsub_name: "broker".into(), topic: "orders".into(), data: data.into(), ..Default::default() };
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{}", sidecar.ports().grpc)).expect("an address");
    let mut client = pb::dapr_client::DaprClient::new(endpoint.connect_lazy());
    let begun = Instant::now();
    let last = tokio::time::timeout(PATIENCE + Duration::from_secs(30), client.publish_event(request)).await.expect("an answer");
    println!("pressure: the next one after {:?}: {:?}", begun.elapsed(), last.as_ref().map_err(tonic::Status::message));
    if waiting().is_none() {
        last.expect("there is room again");
        return;
    }
    let refusal = last.expect_err("there is no room");
    assert_eq!(refusal.code(), tonic::Code::Internal, "{refusal}");
    assert!(refusal.message().contains("the queue of a subscriber is full and does not drain"), "{refusal}");
    assert!(begun.elapsed() + Duration::from_secs(1) > PATIENCE, "{:?}", begun.elapsed());
}
