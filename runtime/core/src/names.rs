//! Where other applications are: from an application id to the address of its sidecar.
//!
//! Without configuration, sidecars find one another by multicast DNS. A look-up that is cached costs one lock; any other waits a second
//! at most. It fails with the words that the caller reads.

mod cache;
mod mdns;

pub use mdns::Mdns;

use crate::options::RuntimeOptions;
use futures::future::BoxFuture;
use proa_resources::Configuration;
use std::sync::Arc;

const LOG: &str = "dapr.runtime";

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

/// Announces this sidecar at `address` and its port for peers, and begins to find others. None when that is not possible: the sidecar
/// runs on, but can call no other application.
pub fn start(configuration: &Configuration, options: &RuntimeOptions, address: &str) -> Option<Arc<dyn Resolver>> {
    let component = configuration.name_resolution.as_ref().map_or("", |n| n.component.as_str());
    if !matches!(component, "" | "mdns") {
        tracing::warn!(target: LOG, "failed to init name resolution: couldn't find name resolver {component}/v1");
        return None;
    }
    match Mdns::start(&options.app_id, &options.hostname, address, options.internal_grpc_port) {
        Ok(mdns) => {
            tracing::info!(target: LOG, "Initialized name resolution to mdns");
            Some(Arc::new(mdns))
        }
        Err(error) => {
            tracing::warn!(target: LOG, "failed to init name resolution: {error}");
            None
        }
    }
}
