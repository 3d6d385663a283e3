//! One initialised configuration of one component, whatever drives it: instances of a module, or a process elsewhere. A slot leases
//! it to callers; when the last lease is gone and the generation is dropped, what drives it finishes its calls, is closed, and goes.

mod instance;
mod instances;
mod supervise;
mod watched;

use crate::ctx::Ctx;
use crate::driver::CallError;
use crate::exports::Exports;
use crate::grants::Grants;
use crate::manifest::Kind;
use crate::remote::Remote;
use futures::future::BoxFuture;
pub use instance::InstanceError;
use instances::Instances;
pub(crate) use instances::Plan;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
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

/// What answers the calls.
enum Driver {
    Wasm(Instances),
    Remote(Box<dyn Remote>),
}

/// Where the code of a generation is, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The module's file, or the socket.
    pub path: PathBuf,
    /// Two generations with the same digest run the same code, as far as can be told.
    pub digest: String,
}

/// See the module's text.
pub struct Generation {
    identity: Arc<Identity>,
    kind: Kind,
    source: Source,
    facts: Facts,
    grants: Arc<Grants>,
    driver: Driver,
}

impl Generation {
    pub(crate) async fn start(plan: Plan) -> Result<Arc<Self>, InstanceError> {
        let module = plan.module.clone();
        let (identity, grants) = (plan.identity.clone(), plan.grants.clone());
        let source = Source { path: module.path.clone(), digest: module.digest.clone() };
        let (instances, facts) = Instances::start(plan).await?;
        Ok(Arc::new(Self { identity, kind: module.kind(), source, facts, grants, driver: Driver::Wasm(instances) }))
    }

    /// A generation whose component lives in another process; it is initialised already.
    pub fn remote(identity: Identity, kind: Kind, source: Source, facts: Facts, remote: Box<dyn Remote>) -> Arc<Self> {
        Arc::new(Self { identity: Arc::new(identity), kind, source, facts, grants: Arc::default(), driver: Driver::Remote(remote) })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn source(&self) -> &Source {
        &self.source
    }
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
    pub fn grants(&self) -> &Grants {
        &self.grants
    }
    /// The names of the interfaces that it has, for example `state/bulk`.
    pub fn interfaces(&self) -> Vec<&'static str> {
        match &self.driver {
            Driver::Wasm(instances) => instances.plan.module.interfaces(),
            Driver::Remote(remote) => remote.interfaces(),
        }
    }
    pub fn offers(&self, interface: &str) -> bool {
        self.interfaces().contains(&interface)
    }
    /// Features as Dapr names them: of a module what its manifest says, of a remote component what it answered.
    pub fn capabilities(&self) -> Vec<String> {
        match &self.driver {
            Driver::Wasm(instances) => instances.plan.module.manifest.capabilities.clone(),
            Driver::Remote(remote) => remote.capabilities(),
        }
    }
    /// Whether the component lives in another process.
    pub fn is_remote(&self) -> bool {
        self.elsewhere().is_some()
    }
    pub(crate) fn elsewhere(&self) -> Option<&dyn Remote> {
        match &self.driver {
            Driver::Wasm(_) => None,
            Driver::Remote(remote) => Some(remote.as_ref()),
        }
    }
    fn instances(&self) -> Option<&Instances> {
        match &self.driver {
            Driver::Wasm(instances) => Some(instances),
            Driver::Remote(_) => None,
        }
    }
    /// Whether the module exports an interface; never so for a remote component.
    pub(crate) fn has(&self, interface: fn(&crate::exports::Indices) -> bool) -> bool {
        self.instances().is_some_and(|i| interface(&i.plan.module.indices))
    }
    pub(crate) fn world(&self) -> Option<&str> {
        self.instances().and_then(|i| i.plan.module.manifest.world.as_deref())
    }
    /// How long a call may take before it is given up.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.instances().map_or(crate::start::CALL_TIMEOUT, |i| i.plan.call_timeout)
    }
    /// Whether no call is waiting or running.
    pub fn idle(&self) -> bool {
        match &self.driver {
            Driver::Wasm(instances) => instances.idle(),
            Driver::Remote(remote) => remote.idle(),
        }
    }
    /// Closes the instances now, calls or none; what is called afterwards is told that it did not begin.
    /// `state` is what `save` gave before, for `revive`.
    pub async fn release(&self, state: Option<Vec<u8>>) {
        if let Some(instances) = self.instances() {
            instances.release(state).await;
        }
    }
    /// Starts the instances again that were released for a successor which did not come.
    pub async fn revive(&self) {
        if let Some(instances) = self.instances() {
            instances.revive().await;
        }
    }
    /// Drops the instances with whatever they are doing.
    pub fn kill(&self) {
        match &self.driver {
            Driver::Wasm(instances) => instances.kill(),
            Driver::Remote(remote) => remote.kill(),
        }
    }
    /// Waits, for a second at most, until an instance that ended has its successor: for calls that cannot be repeated.
    pub async fn ready(&self) {
        match &self.driver {
            Driver::Wasm(instances) => instances.ready().await,
            Driver::Remote(remote) => remote.ready().await,
        }
    }
    /// Puts a fresh instance in the place of one that does not answer.
    pub(crate) fn retire(&self, why: &'static str) {
        if let Some(instances) = self.instances() {
            instances.retire(why);
        }
    }

    /// One call within the call timeout.
    pub(crate) async fn call<R, F>(&self, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        self.call_within(Some(self.call_timeout()), work).await
    }

    pub(crate) async fn call_within<R, F>(&self, limit: Option<Duration>, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        match self.instances() {
            Some(instances) => instances.call_within(limit, work).await,
            None => Err(CallError::Unsupported("this call outside wasm")),
        }
    }

    /// The guest's own state as bytes; none when it has no `snapshot`. Calls must have ceased.
    pub async fn save(&self) -> Option<Result<Vec<u8>, String>> {
        self.instances()?.save().await
    }

    /// Gives this generation what `save` of another wrote. Nobody may have called it yet.
    pub async fn restore(&self, state: Vec<u8>) -> Result<(), String> {
        match self.instances() {
            Some(instances) => instances.restore(state).await,
            None => Err("no snapshot".into()),
        }
    }
}
