//! A ledger per broker: what was published arrives, whatever happens to the sidecar, its configuration and the broker meanwhile.
//!
//! Eight lanes (topics) from four publishers. `PROA_LEDGER` says how many messages (default 2000), `PROA_LEDGER_BLOWS` how many blows:
//! in turn a swap, a change of the configuration, a kill -9 with a restart; the broker is restarted three times in between. A publisher repeats
//! a message until it was taken, so a message may come twice; none may be missing. Each case prints its figures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proa_harness::{Answer, Api, App, BrokerServer, Redis, Sidecar, Wire, against_dapr, component, subscription};
use serde_json::json;
use tokio::sync::RwLock;

use crate::guests::{annotated, sidecar};
use crate::process::{generation, swapped, tail};

const LANES: usize = 8;
const PUBLISHERS: usize = 4;
const RESTARTS: usize = 3;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What arrived in each lane, in the order of arrival.
#[derive(Default)]
struct Book {
    lanes: Mutex<[Vec<u64>; LANES]>,
}

#[derive(Debug, Default, PartialEq)]
struct Sum {
    missing: u64,
    twice: u64,
    /// Messages that came for the first time after a later one of their lane.
    late: u64,
}

impl Book {
    fn sum(&self, each: u64) -> Sum {
        let mut sum = Sum::default();
        for lane in self.lanes.lock().expect("lanes").iter() {
            let (mut times, mut most) = (BTreeMap::<u64, u64>::new(), None);
            for n in lane {
                let count = times.entry(*n).or_default();
                *count += 1;
                sum.twice += u64::from(*count > 1);
                sum.late += u64::from(*count == 1 && most.is_some_and(|m| m > *n));
                most = most.max(Some(*n));
            }
            sum.missing += (0..each).filter(|n| !times.contains_key(n)).count() as u64;
        }
        sum
    }
}

/// What is under test, and how it is set up.
enum Server {
    Redis(Redis),
    Other(BrokerServer),
}

struct Case {
    name: &'static str,
    kind: &'static str,
    metadata: Vec<(&'static str, String)>,
    server: Server,
    /// The field that a change of the configuration changes, and its values.
    field: (&'static str, [&'static str; 2]),
    /// Whether what the broker has survives its restart.
    durable: bool,
}

impl Case {
    fn yaml(&self, revision: usize, value: &str) -> String {
        let mut metadata: Vec<(&str, &str)> = self.metadata.iter().map(|(n, v)| (*n, v.as_str())).collect();
        metadata.push((self.field.0, value));
        annotated(&component("broker", self.kind, &metadata), &[("test/revision", &revision.to_string())])
    }

    async fn start(&self, app: &App) -> Sidecar {
        let mut builder = sidecar().resource_file("broker.yaml", self.yaml(0, self.field.1[0]));
        for lane in 0..LANES {
            let name = format!("lane{lane}");
            builder = builder.resource_file(&format!("{name}.yaml"), subscription(&name, "broker", &name, &format!("/{name}")));
        }
        let sidecar = builder.app(app).start().await;
        sidecar.wait_for_subscriptions(LANES).await;
        sidecar
    }
}

/// One publisher of several lanes: each message until it was taken, the next one after that.
async fn publish(api: Arc<RwLock<Api>>, lanes: Vec<usize>, each: u64, done: Arc<AtomicBool>) -> u64 {
    let mut repeated = 0;
    for n in 0..each {
        for lane in &lanes {
            loop {
                let (now, topic) = (api.read().await.clone(), format!("lane{lane}"));
                let sent = now.publish("broker", &topic, json!({ "n": n }).to_string(), "application/json", &[]);
                match tokio::time::timeout(Duration::from_secs(30), sent).await {
                    Ok(Ok(())) => break,
                    _ => repeated += 1,
                }
                assert!(!done.load(Ordering::Relaxed), "the case is over");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    repeated
}

async fn ledger(mut case: Case) {
    let (messages, blows) = (number("PROA_LEDGER", 2000), number("PROA_LEDGER_BLOWS", 6));
    let each = (messages / LANES) as u64;
    let book = Arc::new(Book::default());
    let app = App::start().await;
    for lane in 0..LANES {
        let book = book.clone();
        app.on(&format!("/lane{lane}"), move |request| {
            let n = request.json()["data"]["n"].as_u64().expect("a number");
            book.lanes.lock().expect("lanes")[lane].push(n);
            Answer::ok()
        });
    }
    let mut running = case.start(&app).await;
    let api = Arc::new(RwLock::new(running.api(Wire::Http).await));
    let (begun, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|p| tokio::spawn(publish(api.clone(), (0..LANES).filter(|lane| lane % PUBLISHERS == p).collect(), each, over.clone())))
        .collect();
    for blow in 1..=blows {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if blow % 3 == 0 {
            running.signal(libc::SIGKILL);
            running = case.start(&app).await;
            *api.write().await = running.api(Wire::BOTH[blow % 2]).await;
        } else {
            let value = case.field.1[usize::from(blow % 3 == 2)];
            let before = generation(&running, "broker").await;
            running.write_resource("broker.yaml", &case.yaml(blow, value));
            swapped(&running, "broker", before).await;
        }
        if case.durable && blow * RESTARTS % blows < RESTARTS {
            match &mut case.server {
                Server::Other(server) => server.restart().await,
                Server::Redis(_) => {}
            }
        }
    }
    let mut repeated = 0;
    for publisher in publishers {
        repeated += publisher.await.expect("a publisher");
    }
    let deadline = Instant::now() + Duration::from_secs(90);
    while book.sum(each).missing > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sum = book.sum(each);
    over.store(true, Ordering::Relaxed);
    println!(
        "ledger {}: {} messages, {blows} blows, {} lost, {} twice, {} late, {repeated} publishes repeated, {:.1} s",
        case.name,
        each * LANES as u64,
        sum.missing,
        sum.twice,
        sum.late,
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(sum.missing, 0, "{}: lost\nlog:\n{}", case.name, tail(&running, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    if against_dapr() {
        return;
    }
    let redis = Redis::start().await;
    let metadata = vec![("redisHost", redis.host()), ("redeliverInterval", "1s".into()), ("processingTimeout", "4s".into())];
    ledger(Case {
        name: "pubsub.redis",
        kind: "pubsub.redis",
        metadata,
        server: Server::Redis(redis),
        field: ("queueDepth", ["100", "50"]),
        durable: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    if against_dapr() {
        return;
    }
    let server = BrokerServer::rabbitmq().await;
    let metadata = [
        ("connectionString", server.url()),
        ("publisherConfirm", "true".into()),
        ("deletedWhenUnused", "false".into()),
        ("deliveryMode", "2".into()),
        ("requeueInFailure", "true".into()),
        ("concurrency", "single".into()),
        ("reconnectWaitSeconds", "1".into()),
    ];
    let field = ("prefetchCount", ["20", "40"]);
    ledger(Case { name: "pubsub.rabbitmq", kind: "pubsub.rabbitmq", metadata: metadata.into(), server: Server::Other(server), field, durable: true })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream() {
    if against_dapr() {
        return;
    }
    let server = BrokerServer::nats().await;
    server.stream("lanes", &["lane0", "lane1", "lane2", "lane3", "lane4", "lane5", "lane6", "lane7"]).await;
    // Without a durable name each of the eight subscriptions has a consumer of its own, which begins at the first message: what a swap
    // hands out again is counted as twice.
    let metadata = vec![("natsURL", server.url()), ("streamName", "lanes".into()), ("ackWait", "3s".into())];
    ledger(Case {
        name: "pubsub.jetstream",
        kind: "pubsub.jetstream",
        metadata,
        server: Server::Other(server),
        field: ("maxAckPending", ["100", "50"]),
        durable: true,
    })
    .await;
}

/// The tables of the test themselves: a gap, a repetition and a message out of turn are seen.
#[test]
fn the_book_sees_what_goes_wrong() {
    let book = Book::default();
    *book.lanes.lock().expect("lanes") = std::array::from_fn(|lane| if lane == 0 { vec![0, 2, 1, 1, 4] } else { vec![0, 1, 2, 3, 4] });
    assert_eq!(book.sum(5), Sum { missing: 1, twice: 1, late: 1 });
}
