//! The instances of one wasm generation: started, called, replaced when they trap or do not answer.

use super::instance::{InstanceError, launch, save};
use super::supervise::{Seat, install, replace, watch};
use super::watched::Watched;
use super::{Facts, Identity, Stats};
use crate::ctx::{Ctx, Limits};
use crate::driver::{CallError, Line};
use crate::exports::Exports;
use crate::grants::Grants;
use crate::kinds::nameresolution::SelfInfo;
use crate::manifest::Abi;
use crate::module::Module;
use crate::wit::exports::proa::component::lifecycle::{Config, Property};
use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime::component::Accessor;

/// Everything that a new instance of a generation needs.
pub(crate) struct Plan {
    pub engine: wasmtime::Engine,
    pub module: Arc<Module>,
    pub identity: Arc<Identity>,
    pub config: Config,
    pub grants: Arc<Grants>,
    pub limits: Limits,
    pub init_timeout: Duration,
    pub announce: Option<SelfInfo>,
    pub call_timeout: Duration,
    pub stats: Arc<Stats>,
}

/// What a generation needs to serve again after it was closed for a successor.
struct Released {
    state: Option<Vec<u8>>,
}

/// See the module's text.
pub struct Instances {
    pub plan: Arc<Plan>,
    seats: Vec<Arc<Seat>>,
    released: Mutex<Option<Released>>,
}

impl Instances {
    pub async fn start(plan: Plan) -> Result<(Self, Facts), InstanceError> {
        let plan = Arc::new(plan);
        let manifest = &plan.module.manifest;
        let count = if manifest.abi == Abi::Sync { manifest.instances.unwrap_or(4).clamp(1, 64) } else { 1 };
        let mut seats = Vec::new();
        let mut facts = Facts::default();
        for _ in 0..count {
            let (line, ready) = launch(&plan, None);
            facts = ready.await.unwrap_or_else(|_| Err(InstanceError::Init("it ended at once".into())))?;
            let turn = (manifest.abi == Abi::Sync).then(|| Semaphore::new(1));
            let seat = Arc::new(Seat { line: ArcSwap::new(line), turn, replacing: AtomicBool::new(false) });
            watch(&plan, &seat);
            seats.push(seat);
        }
        Ok((Self { plan, seats, released: Mutex::default() }, facts))
    }

    /// Whether no call is waiting or running.
    pub fn idle(&self) -> bool {
        self.seats.iter().all(|s| s.line.load().load.load(Ordering::Relaxed) == 0)
    }
    /// Closes the instances now, calls or none; what is called afterwards is told that it did not begin.
    /// `state` is what `save` gave before, for `revive`.
    pub async fn release(&self, state: Option<Vec<u8>>) {
        if let Ok(mut released) = self.released.lock() {
            *released = Some(Released { state });
        }
        for seat in &self.seats {
            let line = seat.line.load_full();
            let (over, empty) = (line.over.clone(), Line::new().0);
            let _ = empty.ended.set("it was released for its successor".into());
            seat.line.store(empty);
            drop(line);
            // The guest's own close is bounded; this is not longer.
            let _ = tokio::time::timeout(Duration::from_secs(3), over.cancelled()).await;
        }
    }
    /// Starts the instances again that were released for a successor which did not come.
    pub async fn revive(&self) {
        let Some(released) = self.released.lock().ok().and_then(|mut r| r.take()) else { return };
        for seat in &self.seats {
            install(&self.plan, seat, released.state.clone()).await;
            watch(&self.plan, seat);
        }
    }
    /// Drops the instances with whatever they are doing.
    pub fn kill(&self) {
        self.seats.iter().for_each(|s| s.line.load().kill.cancel());
    }
    pub async fn call_within<R, F>(&self, limit: Option<Duration>, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        let seat = self.seat().ok_or(CallError::Unsupported("calls"))?;
        let _turn = match &seat.turn {
            // A queue before a busy synchronous instance is part of the call's time.
            Some(turn) => match limit {
                Some(limit) => Some(tokio::time::timeout(limit, turn.acquire()).await.map_err(|_| CallError::Deadline(limit))?),
                None => Some(turn.acquire().await),
            },
            None => None,
        };
        let pending = seat.line.load_full().begin(work)?;
        Watched::new(&self.plan, seat, pending, limit).answer().await
    }

    /// Waits, for a second at most, until an instance that ended has its successor: for calls that cannot be repeated.
    pub async fn ready(&self) {
        for _ in 0..1000 {
            match self.seat() {
                Some(seat) if seat.line.load().ended.get().is_some() => tokio::time::sleep(Duration::from_millis(1)).await,
                _ => return,
            }
        }
    }

    /// Puts a fresh instance in the place of one that does not answer.
    pub fn retire(&self, why: &'static str) {
        self.plan.stats.deadlines.fetch_add(1, Ordering::Relaxed);
        if let Some(seat) = self.seat() {
            replace(&self.plan, seat, why);
        }
    }

    /// The instance with the fewest calls.
    fn seat(&self) -> Option<&Arc<Seat>> {
        match self.seats.as_slice() {
            [one] => Some(one),
            many => many.iter().min_by_key(|s| s.line.load().load.load(Ordering::Relaxed)),
        }
    }

    /// The guest's own state as bytes; none when it has no `snapshot`. Calls must have ceased.
    pub async fn save(&self) -> Option<Result<Vec<u8>, String>> {
        if !self.plan.module.indices.snapshot() {
            return None;
        }
        let line = self.seats.first()?.line.load_full();
        Some(save(&line, self.plan.init_timeout).await)
    }
}

impl Instances {
    /// Gives this generation what `save` of another wrote. Nobody may have called it yet.
    pub async fn restore(&self, state: Vec<u8>) -> Result<(), String> {
        let restored = self.call_within(Some(self.plan.init_timeout), move |accessor, exports| {
            Box::pin(async move {
                match &exports.snapshot {
                    Some(snapshot) => crate::kinds::load(accessor, snapshot, state).await,
                    None => Ok(Err("no snapshot".into())),
                }
            })
        });
        restored.await.map_err(|e| e.to_string())?
    }
}

impl Plan {
    pub(crate) fn config(identity: &Identity, app_id: &str, namespace: &str, properties: &[(String, String)]) -> Config {
        Config {
            name: identity.name.clone(),
            component_type: identity.component_type.clone(),
            version: identity.version.clone(),
            app_id: app_id.to_owned(),
            namespace: namespace.to_owned(),
            properties: properties.iter().map(|(name, value)| Property { name: name.clone(), value: value.clone() }).collect(),
        }
    }
}
