//! From the resources folder to running slots, once at start and again at every change.
//!
//! Up to the moment when a slot takes the new generation nothing has changed for callers; any failure before it leaves the old
//! generation serving and is told in the log, in a metric and in the metadata API.

mod attempts;
mod swap;

use crate::metrics::SwapOutcome;
use crate::options::RuntimeOptions;
use crate::prepare::{Prepared, prepare};
use crate::runtime::Runtime;
use crate::slots::Slot;
use attempts::Attempts;
use futures::future::join_all;
use proa_host::manifest::Kind;
use proa_resources::component::Component;
use proa_resources::resource::{Kind as ResourceKind, Resource};
use proa_resources::{LoadOptions, Snapshot, Watcher};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a component must be absent to count as removed.
const ABSENCE: Duration = Duration::from_millis(300);

/// How long a pass waits for a change before it goes on without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What reconciliation remembers.
pub struct Reconciler {
    options: LoadOptions,
    /// The snapshot that is in force.
    pub snapshot: Mutex<Arc<Snapshot>>,
    pub stop: CancellationToken,
    /// One pass at a time.
    pass: tokio::sync::Mutex<()>,
    attempts: Attempts,
}

impl Reconciler {
    pub fn new(options: &RuntimeOptions) -> Self {
        let load = LoadOptions {
            paths: options.resources_paths.clone(),
            app_id: options.app_id.clone(),
            namespace: options.namespace_set.then(|| options.namespace.clone()),
        };
        Self {
            options: load,
            snapshot: Mutex::default(),
            stop: CancellationToken::new(),
            pass: tokio::sync::Mutex::new(()),
            attempts: Attempts::default(),
        }
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.snapshot.lock().map(|s| s.clone()).unwrap_or_default()
    }

    fn keep(&self, snapshot: Arc<Snapshot>) {
        if let Ok(mut current) = self.snapshot.lock() {
            *current = snapshot;
        }
    }
}

/// The first load. The error is what ends the sidecar.
pub async fn load(runtime: &Arc<Runtime>) -> Result<(), String> {
    let snapshot = read(runtime).await;
    for error in &snapshot.errors {
        tracing::warn!(target: "dapr.runtime.loader.disk", "{error}");
    }
    if let Some(path) = snapshot.unreadable.first() {
        return Err(format!("failed to load components: open {}: no such file or directory", path.display()));
    }
    if let Some(text) = snapshot.duplicate_text(ResourceKind::Component) {
        return Err(format!("failed to load components: {text}"));
    }
    runtime.resiliency().apply(&snapshot.resiliencies);
    look_around(runtime).await;
    let (first, rest) = in_order(&snapshot);
    for component in first {
        start(runtime, component, &snapshot).await?;
    }
    for outcome in join_all(rest.into_iter().map(|c| start(runtime, c, &snapshot))).await {
        outcome?;
    }
    warn_of_secret_scopes(runtime);
    runtime.reconciler.keep(Arc::new(snapshot));
    crate::delivery::reconcile(runtime);
    Ok(())
}

async fn read(runtime: &Runtime) -> Snapshot {
    let options = runtime.reconciler.options.clone();
    tokio::task::spawn_blocking(move || proa_resources::load(&options)).await.unwrap_or_default()
}

/// The modules that lie in the resources folders, for what is started before the components.
pub async fn modules(runtime: &Runtime) -> Vec<PathBuf> {
    read(runtime).await.modules.iter().map(|m| m.path.clone()).collect()
}

/// Looks which components of other processes are there, and tells whether that differs from before.
async fn look_around(runtime: &Runtime) -> bool {
    match runtime.host.remotes() {
        Some(remotes) => remotes.scan().await,
        None => false,
    }
}

/// Resolves when another look at other processes may find more.
async fn look_again(runtime: &Runtime) {
    match runtime.host.remotes() {
        Some(remotes) => remotes.again().await,
        None => std::future::pending().await,
    }
}

/// Secret stores first, those without references to other secret stores before the others: everything else may refer to them.
fn in_order(snapshot: &Snapshot) -> (Vec<&Component>, Vec<&Component>) {
    let (mut stores, rest): (Vec<_>, Vec<_>) = snapshot.components.iter().partition(|c| Kind::of_type(&c.type_) == Some(Kind::SecretStores));
    stores.sort_by_key(|c| c.auth_secret_store.is_some());
    (stores, rest)
}

/// Starts one component at start-up; the error is fatal.
async fn start(runtime: &Arc<Runtime>, component: &Component, snapshot: &Snapshot) -> Result<(), String> {
    if denied(runtime, component) {
        return Ok(());
    }
    let Err(cause) = apply(runtime, component, snapshot, &CancellationToken::new()).await else { return Ok(()) };
    if component.ignore_errors {
        tracing::error!(target: "dapr.runtime.processor", "Ignoring error processing component: process component {} error: {cause}", component.name);
        return Ok(());
    }
    tracing::warn!(target: "dapr.runtime.processor", "Error processing component, daprd will exit gracefully: process component {} error: {cause}", component.name);
    Err(format!("process component {} error: {cause}", component.name))
}

fn denied(runtime: &Runtime, component: &Component) -> bool {
    let configuration = runtime.configuration();
    let with_version = format!("{}/{}", component.type_, component.version);
    let denied = configuration.denied_components.iter().any(|d| d.eq_ignore_ascii_case(&component.type_) || d.eq_ignore_ascii_case(&with_version));
    if denied {
        tracing::warn!(target: "dapr.runtime", "component {} of type {} is not allowed by the configuration: it is not loaded", component.name, with_version);
    }
    denied
}

/// Brings one slot in line with its resource: starts it, swaps it, or leaves it when nothing changed.
async fn apply(runtime: &Arc<Runtime>, component: &Component, snapshot: &Snapshot, superseded: &CancellationToken) -> Result<(), String> {
    let kind = Kind::of_type(&component.type_).ok_or_else(|| format!("incorrect type {}", component.type_))?;
    let slot = match runtime.slots.named(&component.name) {
        Some(slot) if slot.kind == kind => slot,
        other => {
            let slot = Arc::new(Slot::new(&component.name, kind));
            if other.is_none() {
                runtime.slots.insert(slot.clone());
            }
            slot
        }
    };
    let outcome = async {
        let prepared = prepare(runtime, component).await?;
        swap::swap(runtime, &slot, prepared, snapshot, superseded).await
    }
    .await;
    match outcome {
        Ok(done) => {
            if done == swap::Done::Same {
                return Ok(());
            }
            // A component that changed its kind takes the name over only now.
            runtime.slots.insert(slot.clone());
            let what = if done == swap::Done::Started { "loaded" } else { "updated" };
            tracing::info!(target: "dapr.runtime.processor", "Component {what}: {}", component.log_name());
            runtime.metrics().component_initialized(&component.type_);
            Ok(())
        }
        Err(cause) => {
            if slot.peek().is_some() {
                runtime.metrics().guest(&slot.name, &component.type_).swap(SwapOutcome::Refused);
            }
            runtime.metrics().component_init_failed(&component.type_, "init", &component.name);
            // Both layers of Dapr's own wrapping are part of what people search for.
            let wrapped = format!("[INIT_COMPONENT_FAILURE]: initialization error occurred for {}: {cause}", component.log_name());
            tracing::error!(target: "dapr.runtime.processor", "Failed to init component {}: {wrapped}", component.log_name());
            // Last: whoever sees it in the metadata API finds it in the log and in the metrics too.
            slot.failed(&cause);
            Err(format!("[INIT_COMPONENT_FAILURE]: initialization error occurred for {}: {wrapped}", component.log_name()))
        }
    }
}

fn warn_of_secret_scopes(runtime: &Runtime) {
    for scope in &runtime.configuration().secrets {
        if runtime.slots.find(Kind::SecretStores, &scope.store_name).is_none() {
            tracing::warn!(target: "dapr.runtime", "Secrets configuration added for '{}', but no matching secret store was found", scope.store_name);
        }
    }
}

/// Watches folders, modules and granted files until the runtime stops.
pub fn watch(runtime: &Arc<Runtime>) {
    if !runtime.configuration().feature_enabled("HotReload") || runtime.reconciler.options.paths.is_empty() {
        return;
    }
    let runtime_ = runtime.clone();
    let mut folders = runtime.reconciler.options.paths.clone();
    folders.extend(runtime.host.remotes().map(|r| r.folder().to_owned()));
    let mut watcher = match Watcher::new(&folders, &extra_files(runtime)) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(target: "dapr.runtime.hotreload", "resources are not watched: {error}");
            return;
        }
    };
    runtime.tasks.spawn(async move {
        let stop = runtime_.reconciler.stop.clone();
        // What changed between the load and the watch is seen here.
        reconcile(&runtime_).await;
        loop {
            tokio::select! {
                _ = watcher.changed() => {}
                () = runtime_.reconciler.attempts.wanted() => {}
                () = look_again(&runtime_) => if !look_around(&runtime_).await { continue },
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = reconcile(&runtime_) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = watcher.set_extra_files(&extra_files(&runtime_)) {
                tracing::warn!(target: "dapr.runtime.hotreload", "files beside the resources folders are not watched: {error}");
            }
        }
    });
}

/// Modules that lie elsewhere and files that components read.
fn extra_files(runtime: &Runtime) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for slot in runtime.slots.all() {
        if let Some(current) = slot.peek() {
            files.extend(current.generation.grants().files.iter().cloned());
        }
    }
    for component in &runtime.reconciler.current().components {
        files.extend(swap::named_module(component));
    }
    files.into_iter().collect()
}

/// One pass: everything that differs from what runs is changed, each part on its own.
pub async fn reconcile(runtime: &Arc<Runtime>) {
    let _pass = runtime.reconciler.pass.lock().await;
    let before = runtime.reconciler.current();
    look_around(runtime).await;
    let mut snapshot = read(runtime).await;
    let policies_left = |snapshot: &Snapshot| before.resiliencies.iter().all(|r| snapshot.resiliencies.iter().any(|n| n.name == r.name));
    if before.components.iter().any(|c| snapshot.component(&c.name).is_none()) || !policies_left(&snapshot) {
        // A file that is just being written looks like one without its component: only what stays away is gone.
        tokio::time::sleep(ABSENCE).await;
        snapshot = read(runtime).await;
    }
    let read_names: BTreeSet<String> = snapshot.components.iter().map(|c| c.name.clone()).collect();
    for error in snapshot.errors.iter().filter(|e| !before.errors.contains(e)) {
        tracing::warn!(target: "dapr.runtime.loader.disk", "{error}");
    }
    snapshot.keep_last_good(&before);
    runtime.resiliency().apply(&snapshot.resiliencies);
    if let Some(text) = snapshot.duplicate_text(ResourceKind::Component) {
        tracing::error!(target: "dapr.runtime.hotreload", "failed to load resources from disk: {text}");
    }
    let snapshot = Arc::new(snapshot);
    let (first, rest) = in_order(&snapshot);
    change(runtime, first, &snapshot).await;
    change(runtime, rest, &snapshot).await;
    for component in snapshot.components.iter().filter(|c| !read_names.contains(&c.name)) {
        keeps_serving(runtime, component, &snapshot);
    }
    for slot in runtime.slots.all() {
        if !snapshot.components.iter().any(|c| c.name == slot.name) && runtime.reconciler.attempts.begin(&slot.name, None).is_some() {
            swap::remove(runtime, &slot).await;
            runtime.reconciler.attempts.end(&slot.name, false);
        }
    }
    runtime.reconciler.keep(snapshot);
    crate::delivery::reconcile(runtime);
    if runtime.app.get().is_some() && runtime.app_is_well() {
        crate::input::start_all(runtime).await;
        crate::delivery::start_all(runtime).await;
    }
}

/// Changes components side by side. What takes long goes on by itself.
async fn change(runtime: &Arc<Runtime>, components: Vec<&Component>, snapshot: &Arc<Snapshot>) {
    let over = CancellationToken::new();
    let mut attempts = Vec::new();
    for component in components {
        if denied(runtime, component) {
            continue;
        }
        let Some(superseded) = runtime.reconciler.attempts.begin(&component.name, Some(component)) else { continue };
        let (runtime_, component, snapshot, over) = (runtime.clone(), component.clone(), snapshot.clone(), over.clone());
        attempts.push(runtime.tasks.spawn(async move {
            // The log and the slot have the reason of a failure; the old generation serves on.
            let done = apply(&runtime_, &component, &snapshot, &superseded).await;
            runtime_.reconciler.attempts.end(&component.name, done.is_ok() && over.is_cancelled());
        }));
    }
    let _ = tokio::time::timeout(PATIENCE, join_all(attempts)).await;
    over.cancel();
}

/// A component whose file cannot be read any more goes on as it was; that is told once.
fn keeps_serving(runtime: &Runtime, component: &Component, snapshot: &Snapshot) {
    let Some(slot) = runtime.slots.named(&component.name) else { return };
    let file = &component.origin.file;
    let why = snapshot.failures().find(|e| e.origin.file == *file).map_or_else(|| format!("{} cannot be read", file.display()), |e| e.to_string());
    let known = slot.last.lock().ok().and_then(|l| l.error.clone()) == Some(why.clone());
    if !known {
        tracing::error!(target: "dapr.runtime.hotreload", "component {} goes on as it was: {why}", component.name);
        runtime.metrics().guest(&slot.name, &component.type_).swap(SwapOutcome::Refused);
    }
    slot.failed(&why);
}

/// Whether two resources say the same, wherever they stand.
pub fn same(a: &Prepared, b: &Prepared) -> bool {
    proa_resources::diff::same_content(&a.component, &b.component) && a.properties == b.properties
}
