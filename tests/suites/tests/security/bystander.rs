//! Somebody who has nothing to do with an attack: calls another component all the time and writes down how long it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proa_harness::{Sidecar, Wire, component};
use tokio::task::JoinHandle;

use crate::process::{percentile, resident, slim};

/// The store that a bystander calls.
pub fn neighbour() -> String {
    component("neighbour", "state.in-memory", &[])
}

/// More than a sidecar with a few components needs, far less than what the attacks ask for.
const MEMORY: u64 = 300;

pub struct Bystander {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(Vec<Duration>, Vec<String>)>,
}

impl Bystander {
    pub async fn begin(sidecar: &Sidecar) -> Self {
        let api = sidecar.api(Wire::Grpc).await;
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        let task = tokio::spawn(async move {
            let (mut times, mut failed) = (Vec::new(), Vec::new());
            let mut number = 0u64;
            while !over.load(Ordering::Relaxed) {
                number += 1;
                let begun = Instant::now();
                match api.save("neighbour", &[proa_harness::Item::new("k", number)]).await {
                    Ok(()) => times.push(begun.elapsed()),
                    Err(error) => failed.push(format!("{error:?}")),
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (times, failed)
        });
        Self { stop, task }
    }

    /// Prints the attack's line and asserts that the sidecar and the neighbour came through.
    pub async fn end(self, attack: &str, outcome: &str, sidecar: &mut Sidecar) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut times, failed) = self.task.await.expect("the bystander");
        assert!(sidecar.is_running(), "{attack} ended the sidecar:\n{}", sidecar.logs().text());
        sidecar.http().get("/v1.0/healthz").await.expect_status(204);
        let peak = resident(sidecar);
        slim(sidecar, MEMORY).await;
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        println!(
            "security {attack}: {outcome}; neighbour {} calls, p50 {p50:.2?}, p99 {p99:.2?}, max {:.2?}; {peak} MiB",
            times.len(),
            times.last().copied().unwrap_or_default()
        );
        assert!(failed.is_empty(), "{attack}: the neighbour's calls failed: {:?}", failed.first());
        assert!(p99 < Duration::from_secs(1), "{attack}: the neighbour waited {p99:?}");
    }
}
