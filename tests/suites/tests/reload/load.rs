//! Load on a state store, and the ledger of it: every write that was acknowledged must be read back, at once and at the end.
//!
//! Workers write and read keys of their own over HTTP and gRPC in turn: a few with a pause of some milliseconds, so that a small
//! machine has time left for what is under test, or as many as `PROA_CLIENTS` says without any pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proa_harness::{Api, Item, Sidecar, Wire};
use tokio::task::JoinHandle;

use crate::process::{percentile, resident, tail};
use crate::{clients, swaps};

const WORKERS: usize = 6;
/// Keys of one worker.
const KEYS: u64 = 40;
const PAUSE: Duration = Duration::from_millis(4);
/// How long the load runs before the first change.
const REST: Duration = Duration::from_millis(800);
/// The same when latencies are what is looked for.
const LONG_REST: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    swapping: AtomicBool,
}

/// What one worker saw.
#[derive(Default)]
struct Tally {
    failed: Vec<String>,
    rest: Vec<Duration>,
    swapping: Vec<Duration>,
}

/// Load that runs until [`Load::end`].
pub struct Load {
    signals: Arc<Signals>,
    workers: Vec<JoinHandle<Tally>>,
}

/// What all workers saw.
pub struct Report {
    pub failed: Vec<String>,
    rest: Vec<Duration>,
    swapping: Vec<Duration>,
}

impl Load {
    pub async fn on(sidecar: &Sidecar, store: &str) -> Self {
        let signals = Arc::new(Signals::default());
        let mut workers = Vec::new();
        for number in 0..clients().unwrap_or(WORKERS) {
            let api = sidecar.api(Wire::BOTH[number % 2]).await;
            workers.push(tokio::spawn(work(api, store.to_owned(), format!("worker-{number}"), signals.clone())));
        }
        tokio::time::sleep(if clients().is_some() { LONG_REST } else { REST }).await;
        Self { signals, workers }
    }

    /// From now on latencies count as those of swapping.
    pub fn swapping(&self) {
        self.signals.swapping.store(true, Ordering::Relaxed);
    }

    pub async fn end(self) -> Report {
        self.signals.stop.store(true, Ordering::Relaxed);
        let mut report = Report { failed: Vec::new(), rest: Vec::new(), swapping: Vec::new() };
        for worker in self.workers {
            match worker.await {
                Ok(tally) => {
                    report.failed.extend(tally.failed);
                    report.rest.extend(tally.rest);
                    report.swapping.extend(tally.swapping);
                }
                Err(failure) => report.failed.push(format!("a worker ended: {failure}")),
            }
        }
        report
    }
}

impl Report {
    /// Prints the case's line and fails unless every call succeeded.
    pub fn flawless(mut self, case: &str, changes: u32, sidecar: &Sidecar) {
        let requests = self.rest.len() + self.swapping.len();
        let ms = |times: &mut [Duration], share| percentile(times, share).as_secs_f64() * 1e3;
        let max = self.swapping.iter().max().copied().unwrap_or_default();
        println!(
            "reload {case}: {changes} swaps, {requests} requests, {} failed; p50/p99 steady {:.2}/{:.2} ms, swapping {:.2}/{:.2} ms, max {:.1} ms; {} MiB",
            self.failed.len(),
            ms(&mut self.rest, 0.5),
            ms(&mut self.rest, 0.99),
            ms(&mut self.swapping, 0.5),
            ms(&mut self.swapping, 0.99),
            max.as_secs_f64() * 1e3,
            resident(sidecar)
        );
        let first: Vec<_> = self.failed.iter().take(5).collect();
        assert!(self.failed.is_empty(), "{case}: {} of {requests} failed: {first:#?}\nlog:\n{}", self.failed.len(), tail(sidecar, 40));
        assert!(!self.rest.is_empty() && !self.swapping.is_empty(), "{case}: there was no load");
    }
}

/// Runs `change` as often as a case swaps, on a store under load, and expects no failure.
pub async fn under_load(case: &str, sidecar: &Sidecar, store: &str, mut change: impl AsyncFnMut(u32)) {
    let load = Load::on(sidecar, store).await;
    load.swapping();
    for number in 1..=swaps() {
        change(number).await;
    }
    load.end().await.flawless(case, swaps(), sidecar);
}

async fn work(api: Api, store: String, name: String, signals: Arc<Signals>) -> Tally {
    let mut tally = Tally::default();
    let mut ledger: BTreeMap<String, u64> = BTreeMap::new();
    let mut number = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{name}-{}", number % KEYS);
        let begun = Instant::now();
        match api.save(&store, &[Item::new(&key, number)]).await {
            Ok(()) => {
                ledger.insert(key.clone(), number);
            }
            Err(error) => tally.failed.push(format!("write of {key}: {error:?}")),
        }
        let written = Instant::now();
        tally.check(&api, &store, &key, ledger.get(&key)).await;
        let times = if signals.swapping.load(Ordering::Relaxed) { &mut tally.swapping } else { &mut tally.rest };
        times.extend([written - begun, written.elapsed()]);
        if clients().is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    for (key, value) in &ledger {
        tally.check(&api, &store, key, Some(value)).await;
    }
    tally
}

impl Tally {
    async fn check(&mut self, api: &Api, store: &str, key: &str, expected: Option<&u64>) {
        let found = match api.get(store, key).await {
            Ok(found) => found.value.and_then(|value| serde_json::from_slice::<u64>(&value).ok()),
            Err(error) => {
                self.failed.push(format!("read of {key}: {error:?}"));
                return;
            }
        };
        if found.as_ref() != expected {
            self.failed.push(format!("{key} is {found:?}, acknowledged was {expected:?}"));
        }
    }
}
