//! Pulled delivery, and what a call costs.

use super::bench::Bench;
use super::stage::LIMIT;
use proa_host::kinds::pubsub::{Message, PublishRequest, SubscribeRequest, Verdict};
use proa_host::kinds::state::{Concurrency, Consistency, Encoding, GetRequest, SetRequest};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn number(message: &Message, name: &str) -> u32 {
    let found = message.metadata.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} in {:?}", message.metadata));
    found.1.parse().expect("a number")
}

/// While one `receive` waits, the same instance serves every other operation, and another `receive` beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_serves_everything_while_a_receive_waits() {
    let bench = Bench::new().await;
    let broker = bench.start("pubsub.pull-proof", &[]).await;
    let subscribe = async |topic: &str| {
        let request = SubscribeRequest { topic: topic.into(), metadata: Vec::new(), window: 10 };
        broker.pubsub().subscribe(request).await.expect("a call").expect("a subscription")
    };
    let receive = |id: u64| {
        let broker = broker.clone();
        // Longer than the call timeout would be no receive: the deadline of every call holds here too.
        tokio::spawn(async move { broker.pubsub().receive(id, 10, 1800).await.expect("a call").expect("messages") })
    };
    let first = subscribe("first").await;
    let waiting_first = receive(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = subscribe("second").await;
    let waiting_second = receive(second);
    broker.pubsub().settle(second, vec![("unknown".into(), Verdict::Ack)]).await.expect("a call").expect("settled");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    for topic in ["second", "first"] {
        let request = PublishRequest { topic: topic.into(), data: b"{}".to_vec(), content_type: None, metadata: Vec::new() };
        broker.pubsub().publish(request).await.expect("a call").expect("published");
    }
    let one = tokio::time::timeout(LIMIT, waiting_second).await.expect("in time").expect("a task");
    let other = tokio::time::timeout(LIMIT, waiting_first).await.expect("in time").expect("a task");
    println!("host pulled delivery: both waiting receives answered {:.2?} after the publish", begun.elapsed());
    assert_eq!((one.len(), other.len()), (1, 1));
    for (name, least) in
        [("proofopen", 3), ("proofwaiting", 2), ("proofsubscribed", 1), ("proofpublished", 1), ("proofsettled", 1), ("proofreceived", 1)]
    {
        let found = number(&other[0], name);
        assert!(found >= least, "{name} is {found}, at least {least} is right");
    }
    // Refused: it comes again, and says so.
    broker.pubsub().settle(second, vec![(one[0].id.clone(), Verdict::Retry)]).await.expect("a call").expect("settled");
    let again = broker.pubsub().receive(second, 10, 1000).await.expect("a call").expect("messages");
    assert_eq!(again.iter().map(|message| message.redeliveries).collect::<Vec<_>>(), [1]);
}

/// Ending a subscription ends the receive that waits on it: that is how a swap takes a loop off a generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsubscribing_ends_a_waiting_receive() {
    let bench = Bench::new().await;
    let broker = bench.start("pubsub.pull-proof", &[]).await;
    let request = SubscribeRequest { topic: "t".into(), metadata: Vec::new(), window: 10 };
    let id = broker.pubsub().subscribe(request).await.expect("a call").expect("a subscription");
    let waiting = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.pubsub().receive(id, 10, 30_000).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    broker.pubsub().unsubscribe(id).await.expect("a call").expect("unsubscribed");
    let outcome = tokio::time::timeout(Duration::from_secs(1), waiting).await.expect("at once").expect("a task");
    println!("host receive of an ended subscription: {:?}", outcome.map(|answer| answer.map(|messages| messages.len())));
}

const KEYS: usize = 1000;
const CALLS: u32 = 50_000;
const SIZE: usize = 1024;

/// CPU time that the threads of this process have had; those that have ended do not count.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process");
    let nanoseconds = |path: std::path::PathBuf| -> Option<u64> { std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok() };
    tasks.flatten().filter_map(|task| nanoseconds(task.path().join("schedstat"))).map(Duration::from_nanos).sum()
}

fn key(n: usize) -> String {
    format!("app||key-{}", n % KEYS)
}

fn get(n: usize) -> GetRequest {
    GetRequest { key: key(n), consistency: Consistency::Unspecified, metadata: Vec::new() }
}

/// Prints what a read of 1 KiB of the in-memory store costs, inside its sandbox and in all, next to a map of the host's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_read_costs() {
    let bench = Bench::new().await;
    let stats = Arc::default();
    let store = bench.start_counted("state.in-memory", &[], &stats).await;
    let value = vec![b'x'; SIZE];
    let mut native: HashMap<String, (Vec<u8>, u64)> = HashMap::new();
    for n in 0..KEYS {
        native.insert(key(n), (value.clone(), 1));
        let request = SetRequest {
            key: key(n),
            value: value.clone(),
            encoding: Encoding::Json,
            etag: None,
            concurrency: Concurrency::Unspecified,
            consistency: Consistency::Unspecified,
            content_type: None,
            metadata: Vec::new(),
        };
        store.state().set(request).await.expect("a call").expect("set");
    }
    let begun = Instant::now();
    for n in 0..CALLS as usize {
        black_box(native.get(&black_box(get(n)).key).map(|(value, etag)| (value.clone(), etag.to_string())));
    }
    let map = begun.elapsed() / CALLS;
    for readers in [1, 8] {
        let (calls, inside) = (stats.calls.load(Ordering::Relaxed), stats.cpu.load(Ordering::Relaxed));
        let (begun, before) = (Instant::now(), cpu());
        let reader = |from: u32| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in from..from + CALLS / readers {
                    let item = store.state().get(get(n as usize)).await.expect("a call").expect("an answer").expect("an item");
                    assert_eq!(item.value.len(), SIZE);
                }
            })
        };
        for task in (0..readers).map(|n| reader(n * 1000)).collect::<Vec<_>>() {
            task.await.expect("a reader");
        }
        let (wall, all) = (begun.elapsed() / CALLS, (cpu() - before) / CALLS);
        let calls = u32::try_from(stats.calls.load(Ordering::Relaxed) - calls).expect("a count");
        let sandbox = Duration::from_nanos(stats.cpu.load(Ordering::Relaxed) - inside) / calls;
        println!(
            "host read of state.in-memory, {readers} readers: {all:.2?} CPU a call, {sandbox:.2?} of it in the sandbox's loop, {wall:.2?} wall; a native map: {map:.2?}"
        );
        assert_eq!(calls, CALLS);
        assert!(sandbox < Duration::from_millis(1), "a call costs {sandbox:?}");
    }
}
