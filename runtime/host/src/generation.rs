//! One initialised module and configuration, with its instances. A slot leases it to callers; when the last lease is gone and the
//! generation is dropped, its instances finish their calls, are closed, and go.

use crate::ctx::{Ctx, Limits};
use crate::driver::{CallError, Line, once, serve};
use crate::exports::Exports;
use crate::grants::Grants;
use crate::kinds::nameresolution::SelfInfo;
use crate::manifest::{Abi, Kind};
use crate::module::Module;
use crate::wit::exports::proa::component::lifecycle::{Config, InitError, Property};
use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::Accessor;

/// What a generation is called in logs and metrics.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub component_type: String,
    pub version: String,
    pub generation: u64,
}

/// Counters of one component; they go on across generations.
#[derive(Debug, Default)]
pub struct Stats {
    pub calls: AtomicU64,
    /// Nanoseconds.
    pub cpu: AtomicU64,
    /// Bytes of linear memory that the live instances have.
    pub memory: AtomicU64,
    pub memory_denied: AtomicU64,
    pub traps: AtomicU64,
    pub restarts: AtomicU64,
    pub deadlines: AtomicU64,
    pub log_dropped: AtomicU64,
    denials: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stats {
    pub fn denied(&self, grant: &'static str) {
        if let Ok(mut denials) = self.denials.lock() {
            *denials.entry(grant).or_default() += 1;
        }
    }
    /// Denied attempts by grant.
    pub fn denials(&self) -> BTreeMap<&'static str, u64> {
        self.denials.lock().map(|d| d.clone()).unwrap_or_default()
    }
}

/// What plain functions of the guest said once, after `init`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub operations: Vec<String>,
    pub max_operations: u32,
    pub encryption_algorithms: Vec<String>,
    pub signature_algorithms: Vec<String>,
}

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

struct Seat {
    line: ArcSwap<Line>,
    /// One call at a time for the synchronous ABI.
    turn: Option<Semaphore>,
    replacing: AtomicBool,
}

/// See the module's text.
pub struct Generation {
    pub(crate) plan: Arc<Plan>,
    seats: Vec<Arc<Seat>>,
    facts: Facts,
}

/// Why an instance could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("metadata {0}: {1}")]
    Property(String, String),
    #[error("{0}")]
    Init(String),
    #[error("init did not return within {}s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("init trapped: {0}")]
    Trap(String),
    #[error("cannot take over the state of the previous generation: {0}")]
    Snapshot(String),
}

/// The whole error chain of wasmtime, the first line of each; its backtrace has no place in a message.
pub(crate) fn trap_text(error: &wasmtime::Error) -> String {
    let root = error.root_cause().to_string();
    root.lines().next().unwrap_or_default().to_owned()
}

impl Generation {
    pub(crate) async fn start(plan: Plan, snapshot: Option<Vec<u8>>) -> Result<Arc<Self>, InstanceError> {
        let plan = Arc::new(plan);
        let manifest = &plan.module.manifest;
        let count = if manifest.abi == Abi::Sync { manifest.instances.unwrap_or(4).clamp(1, 64) } else { 1 };
        let mut seats = Vec::new();
        let mut facts = Facts::default();
        for _ in 0..count {
            let (line, ready) = launch(&plan, snapshot.clone());
            facts = ready.await.unwrap_or_else(|_| Err(InstanceError::Init("it ended at once".into())))?;
            let turn = (manifest.abi == Abi::Sync).then(|| Semaphore::new(1));
            let seat = Arc::new(Seat { line: ArcSwap::new(line), turn, replacing: AtomicBool::new(false) });
            watch(&plan, &seat);
            seats.push(seat);
        }
        Ok(Arc::new(Self { plan, seats, facts }))
    }

    pub fn identity(&self) -> &Identity {
        &self.plan.identity
    }
    pub fn kind(&self) -> Kind {
        self.plan.module.kind()
    }
    pub fn module(&self) -> &Arc<Module> {
        &self.plan.module
    }
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
    pub fn grants(&self) -> &Grants {
        &self.plan.grants
    }
    pub fn has(&self, interface: fn(&crate::exports::Indices) -> bool) -> bool {
        interface(&self.plan.module.indices)
    }
    /// Whether no call is waiting or running.
    pub fn idle(&self) -> bool {
        self.seats.iter().all(|s| s.line.load().load.load(Ordering::Relaxed) == 0)
    }
    /// Closes the instances now, calls or none; what is called afterwards is told that it did not begin.
    pub async fn release(&self) {
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
    /// Drops the instances with whatever they are doing.
    pub fn kill(&self) {
        self.seats.iter().for_each(|s| s.line.load().kill.cancel());
    }
    /// How long a call may take before it is given up.
    pub fn call_timeout(&self) -> Duration {
        self.plan.call_timeout
    }

    /// One call within the call timeout.
    pub(crate) async fn call<R, F>(&self, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        self.call_within(Some(self.plan.call_timeout), work).await
    }

    pub(crate) async fn call_within<R, F>(&self, limit: Option<Duration>, work: F) -> Result<R, CallError>
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
        let line = seat.line.load_full();
        let outcome = line.call(limit, work).await;
        if let Err(CallError::Deadline(_)) = outcome {
            self.plan.stats.deadlines.fetch_add(1, Ordering::Relaxed);
            replace(&self.plan, seat, "a call did not return within its deadline");
        }
        outcome
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
    pub(crate) fn retire(&self, why: &'static str) {
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

impl Generation {
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

async fn save(line: &Line, limit: Duration) -> Result<Vec<u8>, String> {
    line.call(Some(limit), |accessor, exports| Box::pin(crate::kinds::save(accessor, exports))).await.map_err(|e| e.to_string())?
}

/// Makes an instance in a task of its own. The receiver tells when it can be called.
fn launch(plan: &Arc<Plan>, snapshot: Option<Vec<u8>>) -> (Arc<Line>, oneshot::Receiver<Result<Facts, InstanceError>>) {
    let (line, mut jobs) = Line::new();
    let (ready, is_ready) = oneshot::channel();
    let (plan, ended, kill) = (plan.clone(), line.ended.clone(), line.kill.clone());
    let over = line.over.clone().drop_guard();
    tokio::spawn(async move {
        let _over = over;
        let mut live = match tokio::time::timeout(plan.init_timeout, make(&plan, snapshot)).await {
            Ok(Ok(live)) => live,
            Ok(Err(error)) => {
                let _ = ended.set(error.to_string().into());
                let _ = ready.send(Err(error));
                return;
            }
            Err(_) => {
                let error = InstanceError::Timeout(plan.init_timeout);
                let _ = ended.set(error.to_string().into());
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(std::mem::take(&mut live.facts)));
        let outcome = tokio::select! {
            outcome = serve(&mut live.store, &live.exports, &mut jobs) => outcome,
            () = kill.cancelled() => Err(wasmtime::format_err!("its calls did not end in time")),
        };
        if let Err(error) = outcome {
            let text: Arc<str> = trap_text(&error).into();
            let id = &*plan.identity;
            plan.stats.traps.fetch_add(1, Ordering::Relaxed);
            tracing::error!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, "component trapped: {text}");
            tracing::debug!(target: "proa.component", component = %id.name, "{error:?}");
            let _ = ended.set(text);
        } else {
            let _ = ended.set("it was closed".into());
            close(&mut live).await;
        }
        plan.stats.memory.fetch_sub(live.store.data().memory(), Ordering::Relaxed);
    });
    (line, is_ready)
}

struct Live {
    store: wasmtime::Store<Ctx>,
    exports: Exports,
    facts: Facts,
}

async fn close(live: &mut Live) {
    let Live { store, exports, .. } = live;
    let closing = once(store, async |accessor| match &exports.lifecycle {
        Some(lifecycle) => lifecycle.call_close(accessor).await,
        None => Ok(()),
    });
    // A guest that does not close in time is dropped all the same.
    let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
}

async fn make(plan: &Plan, snapshot: Option<Vec<u8>>) -> Result<Live, InstanceError> {
    let trap = |e: wasmtime::Error| InstanceError::Trap(trap_text(&e));
    let mut store = Ctx::store(&plan.engine, &plan.identity, &plan.grants, plan.limits, &plan.stats).map_err(trap)?;
    let instance = plan.module.pre.instantiate_async(&mut store).await.map_err(trap)?;
    let exports = plan.module.indices.load(&mut store, &instance).map_err(trap)?;
    if let Some(lifecycle) = &exports.lifecycle {
        let config = plan.config.clone();
        once(&mut store, async |accessor| lifecycle.call_init(accessor, config).await).await.map_err(trap)?.map_err(|e| match e {
            InitError::Property((name, why)) => InstanceError::Property(name, why),
            InitError::Unavailable(why) | InitError::Other(why) => InstanceError::Init(why),
        })?;
    }
    if let (Some(me), Some(resolver)) = (plan.announce.clone(), &exports.resolver) {
        let announced = once(&mut store, async |accessor| resolver.call_announce(accessor, me).await).await.map_err(trap)?;
        announced.map_err(|e| InstanceError::Init(crate::kinds::nameresolution::text(e)))?;
    }
    let facts = crate::kinds::facts(&mut store, &exports).await.map_err(trap)?;
    if let (Some(bytes), Some(snapshot)) = (snapshot, &exports.snapshot) {
        once(&mut store, async |accessor| crate::kinds::load(accessor, snapshot, bytes).await)
            .await
            .map_err(|e| InstanceError::Snapshot(trap_text(&e)))?
            .map_err(InstanceError::Snapshot)?;
    }
    Ok(Live { store, exports, facts })
}

/// Puts a new instance in the place of one that ended.
fn watch(plan: &Arc<Plan>, seat: &Arc<Seat>) {
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

async fn install(plan: &Arc<Plan>, seat: &Arc<Seat>, snapshot: Option<Vec<u8>>) {
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
fn replace(plan: &Arc<Plan>, seat: &Arc<Seat>, why: &'static str) {
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
