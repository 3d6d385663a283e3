//! One slot's change: find and compile the module, start the new generation, hand over what the old one keeps in itself, and only
//! then let callers see it.

use crate::metrics::SwapOutcome;
use crate::prepare::Prepared;
use crate::runtime::Runtime;
use crate::slots::{Current, Slot};
use proa_host::generation::Generation;
use proa_host::manifest::Kind;
use proa_host::remote::RemoteType;
use proa_host::start::{Found, FoundModule};
use proa_host::{Module, StartError, StartSpec};
use proa_resources::component::Component;
use proa_resources::go_duration;
use proa_resources::quantity;
use proa_resources::{Snapshot, is_truthy};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const INIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long calls may take to come back before a component's own state is carried over.
const PAUSE: Duration = Duration::from_secs(5);
/// How long messages may be with the application before a component's own state is carried over. One that takes longer is delivered twice.
const DELIVERED: Duration = Duration::from_secs(2);
/// How long an old generation may finish its calls.
const DRAIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Same,
    Started,
    Swapped,
}

/// The module that the resource names with `proa.dev/module`, relative to its own file.
pub fn named_module(component: &Component) -> Option<PathBuf> {
    let path = component.annotations.get("proa.dev/module")?;
    let folder = component.origin.file.parent().map(PathBuf::from).unwrap_or_default();
    Some(folder.join(path))
}

/// See the module's text.
pub async fn swap(runtime: &Runtime, slot: &Slot, prepared: Prepared, snapshot: &Snapshot, superseded: &CancellationToken) -> Result<Done, String> {
    let named = named_module(&prepared.component);
    let files: Vec<PathBuf> = snapshot.modules.iter().map(|m| m.path.clone()).collect();
    let component = &prepared.component;
    let component_type = component.type_.clone();
    let old = slot.peek();
    let last = old.as_ref().map(|o| o.generation.source().path.clone());
    let found = match (runtime.host.find(&component.type_, &component.version, named.as_deref(), &files, last.as_deref()), &old) {
        (Ok(found), _) => found,
        (Err(StartError::UnknownType { .. }), Some(old)) if old.generation.is_remote() => {
            // A process that is about to come back looks like this: the component waits for it, and its calls do.
            slot.failed(&format!("socket {} is gone", old.generation.source().path.display()));
            return Ok(Done::Same);
        }
        (Err(error), _) => return Err(error.to_string()),
    };
    if let Some(old) = &old
        && unchanged(old, &prepared, &found)
    {
        slot.settle();
        return Ok(Done::Same);
    }
    let outcome = match &found {
        Found::Module(module) => replace(runtime, slot, prepared, module, old.as_deref(), superseded).await,
        Found::Remote(remote) => connect(runtime, slot, prepared, remote, superseded).await,
    };
    let series = runtime.metrics().guest(&slot.name, &component_type);
    match outcome {
        Ok(current) => {
            series.swap(SwapOutcome::Swapped);
            series.generation(current.generation.identity().generation);
            let done = if old.is_some() { Done::Swapped } else { Done::Started };
            retire(slot.install(Some(current)));
            slot.resume();
            Ok(done)
        }
        Err(why) => {
            if let Some(old) = &old {
                old.generation.revive().await;
            }
            slot.resume();
            Err(why)
        }
    }
}

/// The same resource, the same resolved values, the same module, the same files behind the values.
fn unchanged(old: &Current, new: &Prepared, found: &Found) -> bool {
    super::same(&old.prepared, new) && old.generation.source().digest == found.digest() && old.stamps == stamps(&old.generation)
}

/// The content of the files that a generation may read, told by digest.
pub fn stamps(generation: &Generation) -> Vec<Option<String>> {
    generation.grants().files.iter().map(|f| std::fs::read(f).ok().map(|b| proa_host::module::digest(&b))).collect()
}

async fn replace(
    runtime: &Runtime,
    slot: &Slot,
    prepared: Prepared,
    found: &FoundModule,
    old: Option<&Current>,
    superseded: &CancellationToken,
) -> Result<Arc<Current>, String> {
    let module = runtime.host.load(found).await.map_err(|e| e.to_string())?;
    if module.kind() != slot.kind {
        return Err(format!("module {} is of kind {}, not {}", module.path.display(), module.kind(), slot.kind));
    }
    let spec = spec(runtime, slot, &prepared)?;
    // What one type keeps in itself means nothing to another.
    let carried = old.filter(|o| o.prepared.component.type_ == prepared.component.type_ && carries(o, &module));
    let saved = match old {
        Some(old) if module.manifest.exclusive => exclusive(slot, old, carried.is_some()).await?,
        _ => None,
    };
    let generation = tokio::select! {
        started = runtime.host.start(module, &spec) => started.map_err(|e| e.to_string())?,
        () = superseded.cancelled() => return Err("given up while it started: the resource has changed again".into()),
    };
    if let Some(old) = carried {
        let state = match saved {
            Some(state) => state,
            // Callers wait only from here on: an init that takes its time is no business of theirs.
            None => hand_over(slot, old).await?,
        };
        generation.restore(state).await.map_err(|e| format!("cannot take over the state of the previous generation: {e}"))?;
    }
    let stamps = stamps(&generation);
    Ok(Arc::new(Current { generation, prepared, stamps }))
}

/// The same for a component of another process. What it keeps in itself stays where it is.
async fn connect(
    runtime: &Runtime,
    slot: &Slot,
    prepared: Prepared,
    found: &RemoteType,
    superseded: &CancellationToken,
) -> Result<Arc<Current>, String> {
    if found.kind != slot.kind {
        return Err(format!("socket {} offers {}, not {}", found.source.path.display(), found.kind, slot.kind));
    }
    let spec = spec(runtime, slot, &prepared)?;
    let generation = tokio::select! {
        started = runtime.host.start_remote(found, &spec) => started.map_err(|e| e.to_string())?,
        () = superseded.cancelled() => return Err("given up while it started: the resource has changed again".into()),
    };
    Ok(Arc::new(Current { generation, prepared, stamps: Vec::new() }))
}

fn carries(old: &Current, new: &Module) -> bool {
    let has = |names: Vec<&'static str>| names.contains(&"component/snapshot");
    has(old.generation.interfaces()) && has(new.interfaces())
}

/// Stops callers and takes the state of the old generation. The caller resumes the slot in any case.
async fn hand_over(slot: &Slot, old: &Current) -> Result<Vec<u8>, String> {
    if !slot.pause(PAUSE).await {
        return Err(format!("calls did not end within {}s: the state cannot be carried over", PAUSE.as_secs()));
    }
    if !slot.drained(DELIVERED).await {
        tracing::warn!(target: "dapr.runtime.hotreload", "component {}: messages that the application still has will be delivered again", slot.name);
    }
    match old.generation.save().await {
        Some(state) => state.map_err(|e| format!("cannot save the state of the previous generation: {e}")),
        None => Ok(Vec::new()),
    }
}

/// A backend that admits one holder: callers wait while one is stopped and the other started. The state is what is carried over.
async fn exclusive(slot: &Slot, old: &Current, carries: bool) -> Result<Option<Vec<u8>>, String> {
    let state = if carries {
        Some(hand_over(slot, old).await?)
    } else {
        if !slot.pause(PAUSE).await {
            return Err(format!("calls did not end within {}s", PAUSE.as_secs()));
        }
        None
    };
    old.generation.release(state.clone()).await;
    Ok(state)
}

fn spec(runtime: &Runtime, slot: &Slot, prepared: &Prepared) -> Result<StartSpec, String> {
    let component = &prepared.component;
    let note = |name: &str| component.annotations.get(name).map(String::as_str);
    let bad = |name: &str, text: &str, what: &str| format!("annotation {name}: {text:?} is not {what}");
    let memory_limit = note("proa.dev/memory-limit")
        .map(|t| {
            quantity::parse(t).ok().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| bad("proa.dev/memory-limit", t, "a quantity such as 256Mi"))
        })
        .transpose()?;
    let call_timeout =
        note("proa.dev/call-timeout").map(|t| go_duration::parse(t).map_err(|_| bad("proa.dev/call-timeout", t, "a duration"))).transpose()?;
    let instances = note("proa.dev/instances").map(|t| t.parse().map_err(|_| bad("proa.dev/instances", t, "a number"))).transpose()?;
    let options = runtime.options();
    Ok(StartSpec {
        name: component.name.clone(),
        component_type: component.type_.clone(),
        version: component.version.clone(),
        generation: slot.next_number(),
        app_id: options.app_id.clone(),
        namespace: options.namespace.clone(),
        properties: prepared.properties.clone(),
        allow_hosts: note("proa.dev/allow-hosts").map(str::to_owned),
        strict: note("proa.dev/strict").is_some_and(is_truthy),
        memory_limit,
        instances,
        init_timeout: component.init_timeout.unwrap_or(INIT_TIMEOUT),
        announce: None,
        call_timeout,
        stats: slot.stats.clone(),
    })
}

/// Lets an old generation finish; what has not finished at the deadline is ended.
fn retire(old: Option<Arc<Current>>) {
    let Some(old) = old else { return };
    let generation = Arc::downgrade(&old.generation);
    drop(old);
    tokio::spawn(async move {
        tokio::time::sleep(DRAIN).await;
        if let Some(generation) = generation.upgrade() {
            generation.kill();
        }
    });
}

/// A removal is a swap to nothing.
pub async fn remove(runtime: &Runtime, slot: &Slot) {
    runtime.slots.remove(&slot.name);
    if slot.kind == Kind::State
        && let Ok(mut actor_store) = runtime.actor_store.lock()
        && actor_store.as_deref() == Some(slot.name.as_str())
    {
        *actor_store = None;
    }
    if let Some(old) = slot.install(None) {
        tracing::info!(target: "dapr.runtime.processor", "Component removed: {}", old.prepared.component.name);
        runtime.metrics().guest(&slot.name, &old.prepared.component.type_).swap(SwapOutcome::Removed);
        retire(Some(old));
    }
}
