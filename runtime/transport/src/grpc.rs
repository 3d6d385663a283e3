//! The sidecar's gRPC side: the API of the application and the hop between sidecars.
//!
//! [`serve`] answers on listeners until it is told to stop. Every call passes one entry (allow-list, API
//! token, trace context, metrics, log), then a handler that only translates between messages and the services of core. A call
//! costs one boxed future and one map look-up beyond what the service costs. Failures are gRPC statuses with Dapr's details.

mod absent;
mod access;
mod activity;
mod answer;
mod api;
mod bindings;
mod call;
mod deadline;
mod describe;
mod entry;
pub mod error;
mod internal;
mod invoke;
mod local;
mod metadata;
mod proxy;
mod pubsub;
mod reflection;
mod secrets;
mod server;
mod state;
mod subscribe;
pub(crate) mod trace;

pub use server::{Role, serve};

use proa_core::{Cx, Transport};
use proa_model::Metadata;
use std::collections::HashMap;
use tonic::Request;

/// Splits a request into what accompanies it and its message.
fn open<T>(request: Request<T>) -> (Cx, T) {
    let (_, mut extensions, message) = request.into_parts();
    let cx = extensions.remove::<Cx>().unwrap_or_else(|| Cx::new(Transport::Grpc));
    (cx, message)
}

fn pairs(map: HashMap<String, String>) -> Metadata {
    map.into_iter().collect()
}

fn map(pairs: Metadata) -> HashMap<String, String> {
    pairs.into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub(crate) mod tests;
