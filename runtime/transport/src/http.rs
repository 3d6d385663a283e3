//! The HTTP API: HTTP/1.1 and HTTP/2 without TLS on one port.
//!
//! Outermost first: path cleaning, body limit, metrics, CORS, API token, the middleware of the configuration, API log, router. Without
//! middleware a request is answered in the task of its connection, with nothing boxed on the way.

mod absent;
mod api;
mod bindings;
mod cors;
mod error;
mod health;
mod invoke;
pub(crate) mod json;
mod log;
mod metadata;
mod metrics;
mod path;
mod profile;
mod public;
mod pubsub;
mod query;
mod reply;
mod request;
mod router;
mod secrets;
mod server;
mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
mod token;
mod trace;
mod upgrade;

pub use metrics::serve_metrics;
pub(crate) use path::clean as clean_path;
pub use profile::serve_profile;
pub use public::serve_public;

use crate::listen::Listeners;
use proa_core::Runtime;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Serves the API until `stop`, and then what is in flight, for the graceful period at most.
pub async fn serve(runtime: Arc<Runtime>, listeners: Listeners, stop: CancellationToken) {
    let settings = server::Settings::new(runtime.options().read_buffer_size, runtime.options().graceful_shutdown);
    let api = api::Api::new(runtime);
    server::run(listeners, settings, api, stop).await;
}
