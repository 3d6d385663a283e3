//! A slot is a component's name in the running sidecar. It holds the current generation behind one atomic pointer.
//!
//! A lease is the right to call that generation. It costs a reference count; a generation goes when its last lease is gone.
//! While a component's own state is carried over, leases wait: no call may slip in between `save` and the new generation.

use crate::prepare::Prepared;
use arc_swap::{ArcSwap, ArcSwapOption};
use proa_host::Generation;
use proa_host::generation::Stats;
use proa_host::manifest::Kind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How long a lease waits for a hand-over before it is refused.
const HANDOVER: Duration = Duration::from_secs(30);

/// What a slot holds at a time.
pub struct Current {
    pub generation: Arc<Generation>,
    pub prepared: Prepared,
    /// The content of the files that the generation reads, by digest.
    pub stamps: Vec<Option<String>>,
}

/// What became of the latest change.
#[derive(Clone, Debug, Default)]
pub struct LastChange {
    /// Why the latest change was not taken; none when it was.
    pub error: Option<String>,
}

/// See the module's text.
pub struct Slot {
    pub name: String,
    pub kind: Kind,
    current: ArcSwapOption<Current>,
    paused: AtomicBool,
    resumed: Notify,
    number: AtomicU64,
    /// The number of the current generation; delivery watches it. Zero: none, or hand it back now.
    changes: watch::Sender<u64>,
    pub stats: Arc<Stats>,
    pub last: Mutex<LastChange>,
    /// One more reference for each subscription that has messages out.
    in_flight: Arc<()>,
}

/// A subscription has messages out, or may have.
pub struct InFlight {
    _one: Arc<()>,
}

/// The right to call a generation.
pub type Lease = Arc<Current>;

impl Slot {
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            current: ArcSwapOption::empty(),
            paused: AtomicBool::new(false),
            resumed: Notify::new(),
            number: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            stats: Arc::default(),
            last: Mutex::default(),
            in_flight: Arc::default(),
        }
    }

    /// To be held for as long as messages of a subscription may be with the application.
    pub fn in_flight(&self) -> InFlight {
        InFlight { _one: self.in_flight.clone() }
    }

    /// Waits until no message is with the application any more. False: that took longer than `limit`.
    pub async fn drained(&self, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while Arc::strong_count(&self.in_flight) > 1 {
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        true
    }

    pub fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The current generation, for looking at it.
    pub fn peek(&self) -> Option<Arc<Current>> {
        self.current.load_full()
    }

    /// Leases the current generation; waits while it hands over its state.
    pub async fn lease(&self) -> Option<Lease> {
        if let Some(lease) = self.try_lease() {
            return lease;
        }
        tokio::time::timeout(HANDOVER, self.lease_later()).await.unwrap_or(None)
    }

    /// The outer none: paused.
    fn try_lease(&self) -> Option<Option<Lease>> {
        let lease = self.current.load_full();
        // Pairs with the fence in `pause`: either the pausing side sees this reference, or this side sees the pause.
        fence(Ordering::SeqCst);
        if self.paused.load(Ordering::SeqCst) { None } else { Some(lease) }
    }

    async fn lease_later(&self) -> Option<Lease> {
        loop {
            let resumed = self.resumed.notified();
            if let Some(lease) = self.try_lease() {
                return lease;
            }
            resumed.await;
        }
    }

    /// Holds back new leases and waits until the ones that are out have come back. False: they did not within `limit`.
    pub async fn pause(&self, limit: Duration) -> bool {
        self.paused.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.changes.send_replace(0);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let Some(current) = self.current.load_full() else { return true };
            // One for the slot, one for whoever swaps, one for this look.
            if Arc::strong_count(&current) <= 3 && current.generation.idle() {
                return true;
            }
            drop(current);
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    pub fn resume(&self) {
        let number = self.peek().map_or(0, |c| c.generation.identity().generation);
        self.changes.send_replace(number);
        self.paused.store(false, Ordering::SeqCst);
        self.resumed.notify_waiters();
    }

    /// The point of no return: from here on leases are of `current`. Gives back what was there.
    pub fn install(&self, current: Option<Arc<Current>>) -> Option<Arc<Current>> {
        let number = current.as_ref().map_or(0, |c| c.generation.identity().generation);
        let old = self.current.swap(current);
        if let Ok(mut last) = self.last.lock() {
            last.error = None;
        }
        self.changes.send_replace(number);
        old
    }

    /// The resource is what runs: an earlier failure is of the past.
    pub fn settle(&self) {
        if let Ok(mut last) = self.last.lock() {
            last.error = None;
        }
    }

    pub fn failed(&self, why: &str) {
        if let Ok(mut last) = self.last.lock() {
            last.error = Some(why.to_owned());
        }
    }

    /// Tells when the generation is another, or must be handed back.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// All slots, by name.
#[derive(Default)]
pub struct Slots {
    slots: ArcSwap<BTreeMap<String, Arc<Slot>>>,
}

impl Slots {
    pub fn find(&self, kind: Kind, name: &str) -> Option<Arc<Slot>> {
        self.slots.load().get(name).filter(|s| s.kind == kind).cloned()
    }

    pub fn named(&self, name: &str) -> Option<Arc<Slot>> {
        self.slots.load().get(name).cloned()
    }

    /// Slots of a kind that have a generation.
    pub fn of_kind(&self, kind: Kind) -> Vec<Arc<Slot>> {
        self.slots.load().values().filter(|s| s.kind == kind && s.peek().is_some()).cloned().collect()
    }

    pub fn any(&self, kind: Kind) -> bool {
        self.slots.load().values().any(|s| s.kind == kind && s.current.load().is_some())
    }

    pub fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.load().values().cloned().collect()
    }

    pub fn insert(&self, slot: Arc<Slot>) {
        self.slots.rcu(|old| {
            let mut new = BTreeMap::clone(old);
            new.insert(slot.name.clone(), slot.clone());
            new
        });
    }

    pub fn remove(&self, name: &str) -> Option<Arc<Slot>> {
        let removed = self.named(name);
        self.slots.rcu(|old| {
            let mut new = BTreeMap::clone(old);
            new.remove(name);
            new
        });
        removed
    }
}
