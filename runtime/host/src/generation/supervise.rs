//! Keeps a seat taken: an instance that ended gets its successor, one that does not answer is retired beside it.
//!
//! The first restart comes at once; a component that keeps failing waits longer each time, up to five seconds.

use super::instance::{launch, save};
use super::instances::Plan;
use crate::driver::Line;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The place of one instance of a generation.
pub(super) struct Seat {
    pub line: ArcSwap<Line>,
    /// One call at a time for the synchronous ABI.
    pub turn: Option<Semaphore>,
    pub replacing: AtomicBool,
}

/// Puts a new instance in the place of one that ended.
pub(super) fn watch(plan: &Arc<Plan>, seat: &Arc<Seat>) {
    let (plan, seat) = (plan.clone(), Arc::downgrade(seat));
    tokio::spawn(async move {
        let mut failures = 0u32;
        loop {
            let Some(line) = seat.upgrade().map(|s| Arc::downgrade(&s.line.load_full())) else { return };
            let lived = tokio::time::Instant::now();
            ended(&line).await;
            let Some(strong) = seat.upgrade() else { return };
            let (is_over, has_ended) = {
                let l = strong.line.load();
                (l.over.is_cancelled(), l.ended.get().is_some())
            };
            if !is_over {
                // Another instance has taken the seat, or the seat was given up.
                if has_ended {
                    return;
                }
                continue;
            }
            failures = if lived.elapsed() > Duration::from_secs(60) { 0 } else { failures + 1 };
            if failures > 1 {
                // The first restart comes at once; a component that keeps failing is not allowed to spin.
                let pause = Duration::from_millis(50) * 2u32.saturating_pow(failures.min(8) - 1);
                drop(strong);
                tokio::time::sleep(pause.min(Duration::from_secs(5))).await;
                let Some(strong) = seat.upgrade() else { return };
                install(&plan, &strong, None).await;
                continue;
            }
            install(&plan, &strong, None).await;
        }
    });
}

/// Waits until the instance behind a line has ended, without keeping the line.
async fn ended(line: &Weak<Line>) {
    let Some(over) = line.upgrade().map(|l| l.over.clone()) else { return };
    over.cancelled().await;
}

/// Puts a new instance into a seat and waits until it can be called, or is known to fail.
pub(super) async fn install(plan: &Arc<Plan>, seat: &Arc<Seat>, snapshot: Option<Vec<u8>>) {
    plan.stats.restarts.fetch_add(1, Ordering::Relaxed);
    let (line, ready) = launch(plan, snapshot);
    // Calls queue at the new instance while it starts.
    seat.line.store(line);
    if let Ok(Err(error)) = ready.await {
        let id = &*plan.identity;
        tracing::error!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, "component does not restart: {error}");
    }
}

/// Retires an instance that does not answer: it keeps the calls that it has, a fresh one takes the next.
pub(super) fn replace(plan: &Arc<Plan>, seat: &Arc<Seat>, why: &'static str) {
    if seat.replacing.swap(true, Ordering::AcqRel) {
        return;
    }
    let (plan, seat) = (plan.clone(), seat.clone());
    tokio::spawn(async move {
        let id = &*plan.identity;
        tracing::warn!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, "instance is retired: {why}");
        let old = seat.line.load_full();
        let state = match plan.module.indices.snapshot() {
            true => save(&old, Duration::from_secs(1)).await.ok(),
            false => None,
        };
        install(&plan, &seat, state).await;
        seat.replacing.store(false, Ordering::Release);
        watch_retired(&plan, old).await;
    });
}

/// Gives a retired instance time for the calls that it has, then lets go of it.
async fn watch_retired(plan: &Plan, old: Arc<Line>) {
    let deadline = tokio::time::Instant::now() + plan.call_timeout;
    while old.load.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    old.kill.cancel();
}
