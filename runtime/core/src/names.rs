//! Where other applications are: from an application id to the address of its sidecar.
//!
//! Without configuration, sidecars find one another by multicast DNS, which is part of the sidecar: it is there in every process, and
//! needs sockets that no component is lent. Any other resolver is a component that `spec.nameResolution` of the Configuration names. It
//! announces this sidecar when it starts and takes that back when it is closed. A look-up that is cached costs one lock. It fails with
//! the words that the caller reads.

mod addresses;
mod cache;
mod component;
pub mod machine;
mod mdns;
mod settings;

pub use mdns::Mdns;

use crate::runtime::Runtime;
use futures::future::BoxFuture;
use std::sync::Arc;

const LOG: &str = "dapr.runtime";
/// What Dapr takes when the Configuration says nothing.
const DEFAULT: &str = "mdns";
const VERSION: &str = "v1";

/// Finds sidecars.
pub trait Resolver: Send + Sync {
    /// `host:port` of a sidecar of the application.
    ///
    /// # Errors
    /// A text for the caller.
    fn resolve<'a>(&'a self, app_id: &'a str, namespace: &'a str) -> BoxFuture<'a, Result<String, String>>;
    /// Nothing answers at this address: it should not be given out again.
    fn failed(&self, app_id: &str, address: &str);
    /// Takes back what was announced.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Why there is no resolver.
enum Failure {
    /// Nothing implements it.
    Creation(String),
    Init(String),
}

/// Announces this sidecar at `address` and its port for peers, and begins to find others. None when that is not possible: the sidecar
/// runs on, but can call no other application.
pub async fn start(runtime: &Arc<Runtime>, address: &str) -> Option<Arc<dyn Resolver>> {
    let configuration = runtime.configuration();
    let wanted = configuration.name_resolution.clone().unwrap_or_default();
    let name = if wanted.component.is_empty() { DEFAULT } else { &wanted.component };
    let version = if wanted.version.is_empty() { VERSION } else { &wanted.version };
    let started = if name.eq_ignore_ascii_case(DEFAULT) && is_first(version) {
        mdns(runtime, address)
    } else {
        component::start(runtime, name, version, &wanted.configuration, address).await
    };
    let (kind, reason, why) = match started {
        Ok(resolver) => {
            tracing::info!(target: LOG, "Initialized name resolution to {name}");
            return Some(resolver);
        }
        Err(Failure::Creation(why)) => ("CREATE_COMPONENT_FAILURE", "creation", why),
        Err(Failure::Init(why)) => ("INIT_COMPONENT_FAILURE", "init", why),
    };
    runtime.metrics().component_init_failed("nameResolution", reason, name);
    tracing::error!(target: LOG, "[{kind}]: initialization error occurred for nr ({name}/{version}): {why}");
    None
}

/// Dapr takes these for the same version.
fn is_first(version: &str) -> bool {
    matches!(version.to_lowercase().as_str(), "" | "v0" | "v1")
}

fn mdns(runtime: &Runtime, address: &str) -> Result<Arc<dyn Resolver>, Failure> {
    let options = runtime.options();
    let mdns = Mdns::start(&options.app_id, &options.hostname, address, options.internal_grpc_port).map_err(|e| Failure::Init(e.to_string()))?;
    Ok(Arc::new(mdns))
}
