//! Four publishers of two lanes each: every message until it was taken, the lane's next one after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proa_harness::Api;
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use super::case::Case;
use super::{LANES, PUBLISHERS};

/// A publish that takes longer is given up and repeated.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Tally {
    taken: AtomicU64,
    repeated: AtomicU64,
}

pub struct Publishers {
    tally: Arc<Tally>,
    tasks: Vec<JoinHandle<()>>,
}

async fn publish(api: Arc<RwLock<Api>>, tally: Arc<Tally>, lane: usize, topic: String, each: u64) {
    for n in 0..each {
        let data = json!({ "lane": lane, "n": n }).to_string();
        loop {
            let now = api.read().await.clone();
            let sent = now.try_publish("broker", &topic, data.clone());
            if matches!(tokio::time::timeout(LIMIT, sent).await, Ok(Ok(()))) {
                break;
            }
            tally.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tally.taken.fetch_add(1, Ordering::Relaxed);
    }
}

impl Publishers {
    pub fn start(api: &Arc<RwLock<Api>>, case: &Case, each: u64) -> Self {
        let tally = Arc::new(Tally::default());
        let one = |publisher: usize| {
            let lanes = (0..LANES).filter(move |lane| lane % PUBLISHERS == publisher);
            let all: Vec<_> = lanes.map(|lane| publish(api.clone(), tally.clone(), lane, case.topic(lane), each)).collect();
            tokio::spawn(async move { drop(futures::future::join_all(all).await) })
        };
        let tasks = (0..PUBLISHERS).map(one).collect();
        Self { tally, tasks }
    }

    /// Waits until so many were taken.
    pub async fn reached(&self, count: u64, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.tally.taken.load(Ordering::Relaxed) < count && self.tasks.iter().any(|task| !task.is_finished()) {
            assert!(Instant::now() < deadline, "only {} of {count} were taken", self.tally.taken.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for all; says how many attempts were not acknowledged.
    pub async fn finish(self) -> u64 {
        for task in self.tasks {
            task.await.expect("a publisher");
        }
        self.tally.repeated.load(Ordering::Relaxed)
    }
}
