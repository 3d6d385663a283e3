//! The bounded queue between calls and collectors, and the task that empties it in batches.

use super::Env;
use super::target::Target;
use futures::future::join_all;
use proa_core::Metrics;
use proa_core::metrics::Series;
use proa_core::trace::{Record, Sink};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How spans are gathered.
pub(super) struct Batches {
    queue: usize,
    size: usize,
    pause: Duration,
}

impl Batches {
    pub(super) fn from_env(env: Env<'_>) -> Self {
        let number = |name: &str, usual: usize| env(name).and_then(|v| v.parse().ok()).filter(|n| *n > 0).unwrap_or(usual);
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048);
        let pause = number("OTEL_BSP_SCHEDULE_DELAY", 5000);
        Self { queue, size: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512).min(queue), pause: Duration::from_millis(pause as u64) }
    }
}

/// See the module's text.
pub(super) struct Queue {
    entry: Entry,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Where ended spans go in.
#[derive(Clone)]
pub(super) struct Entry {
    sender: Sender<Record>,
    metrics: Metrics,
}

impl Sink for Entry {
    fn take(&self, span: Record) {
        if self.sender.try_send(span).is_err() {
            self.metrics.count(Series::TraceSpansDropped, &["queue_full"]);
        }
    }
}

impl Queue {
    pub(super) fn start(targets: Vec<Target>, batches: Batches, metrics: Metrics) -> Self {
        let (sender, receiver) = mpsc::channel(batches.queue);
        let stop = CancellationToken::new();
        let outlets = targets.into_iter().map(|target| Outlet { target, metrics: metrics.clone(), failing: false }).collect();
        let task = tokio::spawn(run(receiver, outlets, batches, stop.clone()));
        Self { entry: Entry { sender, metrics }, stop, task }
    }

    pub(super) fn entry(&self) -> Entry {
        self.entry.clone()
    }

    /// Whether everything was sent in time.
    pub(super) async fn close(mut self, limit: Duration) -> bool {
        self.stop.cancel();
        let ended = timeout(limit, &mut self.task).await.is_ok();
        if !ended {
            self.task.abort();
        }
        ended
    }
}

async fn run(mut receiver: Receiver<Record>, mut outlets: Vec<Outlet>, batches: Batches, stop: CancellationToken) {
    while let Some(batch) = gather(&mut receiver, &batches, &stop).await {
        let batch: Arc<[Record]> = batch.into();
        join_all(outlets.iter_mut().map(|outlet| outlet.send(batch.clone()))).await;
    }
}

/// The next batch: full, or as old as it may get. None at the end, when nothing is left.
async fn gather(receiver: &mut Receiver<Record>, batches: &Batches, stop: &CancellationToken) -> Option<Vec<Record>> {
    let mut batch = Vec::new();
    tokio::select! {
        _ = receiver.recv_many(&mut batch, batches.size) => {}
        () = stop.cancelled() => {}
    }
    let due = sleep(batches.pause);
    tokio::pin!(due);
    while batch.len() < batches.size && !stop.is_cancelled() {
        let room = batches.size - batch.len();
        tokio::select! {
            count = receiver.recv_many(&mut batch, room) => if count == 0 { break },
            () = &mut due => break,
            () = stop.cancelled() => break,
        }
    }
    while batch.len() < batches.size {
        let Ok(span) = receiver.try_recv() else { break };
        batch.push(span);
    }
    (!batch.is_empty()).then_some(batch)
}

/// A target and whether it takes what it is sent.
struct Outlet {
    target: Target,
    metrics: Metrics,
    failing: bool,
}

impl Outlet {
    async fn send(&mut self, batch: Arc<[Record]>) {
        let failure = self.target.send(&batch).await.err();
        if let Some(why) = &failure {
            self.metrics.add(Series::TraceSpansDropped, &["export_failed"], batch.len() as u64);
            if !self.failing {
                tracing::warn!(target: "dapr.runtime.trace", "traces export: {}: {why}", self.target);
            }
        }
        self.failing = failure.is_some();
    }
}
