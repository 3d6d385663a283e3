//! What the host counts of components, brought into the metrics when somebody asks for them.

use crate::runtime::Runtime;
use proa_host::generation::Stats;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What of each component has been reported.
#[derive(Default)]
pub struct Reported {
    seen: Mutex<HashMap<String, Counts>>,
}

#[derive(Clone, Default)]
struct Counts {
    calls: u64,
    cpu: u64,
    traps: u64,
    log_dropped: u64,
    denials: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn of(stats: &Stats) -> Self {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            calls: read(&stats.calls),
            cpu: read(&stats.cpu),
            traps: read(&stats.traps),
            log_dropped: read(&stats.log_dropped),
            denials: stats.denials(),
        }
    }
}

impl Runtime {
    /// Every series as Prometheus reads them.
    pub fn render_metrics(&self) -> String {
        for slot in self.slots.all().into_iter().chain(self.resolver.get().cloned()) {
            let Some(current) = slot.peek() else { continue };
            let series = self.metrics().guest(&slot.name, &current.prepared.component.type_);
            let now = Counts::of(&slot.stats);
            let before = match self.reported.seen.lock() {
                Ok(mut seen) => seen.insert(slot.name.clone(), now.clone()).unwrap_or_default(),
                Err(_) => continue,
            };
            let grown = |now: u64, before: u64| now.saturating_sub(before);
            series.calls(grown(now.calls, before.calls));
            series.cpu(Duration::from_nanos(grown(now.cpu, before.cpu)));
            series.memory(slot.stats.memory.load(Ordering::Relaxed));
            for _ in 0..grown(now.traps, before.traps) {
                series.trap();
            }
            series.log_dropped(grown(now.log_dropped, before.log_dropped));
            for (grant, count) in &now.denials {
                for _ in 0..grown(*count, before.denials.get(grant).copied().unwrap_or(0)) {
                    series.denied(grant);
                }
            }
        }
        self.metrics().render()
    }
}
