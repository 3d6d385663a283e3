//! The life of one instance: made and initialised, serving until it is closed, ended or traps, in a task of its own.
//!
//! Its end is told once, by the line: a guest's trap is an error in the log and a count; an instance that is ended by the host because
//! its calls did not return is neither its fault nor a trap.

use super::{Facts, Plan};
use crate::ctx::Ctx;
use crate::driver::{Line, once, serve};
use crate::exports::Exports;
use crate::wit::exports::proa::component::lifecycle::InitError;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::oneshot;

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
fn trap_text(error: &wasmtime::Error) -> String {
    let root = error.root_cause().to_string();
    root.lines().next().unwrap_or_default().to_owned()
}

/// The guest's own state as bytes.
pub(super) async fn save(line: &Arc<Line>, limit: Duration) -> Result<Vec<u8>, String> {
    line.call(Some(limit), |accessor, exports| Box::pin(crate::kinds::save(accessor, exports))).await.map_err(|e| e.to_string())?
}

/// Makes an instance in a task of its own. The receiver tells when it can be called.
pub(super) fn launch(plan: &Arc<Plan>, snapshot: Option<Vec<u8>>) -> (Arc<Line>, oneshot::Receiver<Result<Facts, InstanceError>>) {
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
        tokio::select! {
            outcome = serve(&mut live.store, &live.exports, &mut jobs) => match outcome {
                Ok(()) => {
                    let _ = ended.set("it was closed".into());
                    close(&mut live).await;
                }
                Err(error) => trapped(&plan, &ended, &error),
            },
            () = kill.cancelled() => {
                let _ = ended.set("its calls did not end in time".into());
            }
        }
        plan.stats.memory.fetch_sub(live.store.data().memory(), Ordering::Relaxed);
    });
    (line, is_ready)
}

fn trapped(plan: &Plan, ended: &OnceLock<Arc<str>>, error: &wasmtime::Error) {
    let text: Arc<str> = trap_text(error).into();
    let id = &*plan.identity;
    plan.stats.traps.fetch_add(1, Ordering::Relaxed);
    tracing::error!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, "component trapped: {text}");
    tracing::debug!(target: "proa.component", component = %id.name, "{error:?}");
    let _ = ended.set(text);
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
