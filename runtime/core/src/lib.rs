//! What the sidecar means: slots, the one call path, the services of the building blocks, delivery, and the reconciliation of resources.
//!
//! Transports call [`services`]; the application is reached through [`app::AppChannel`]. Nothing here knows how bytes arrive.

pub mod access;
pub mod app;
mod call;
pub mod cloud_event;
pub mod delivery;
mod encryption;
mod guests;
pub mod health;
mod input;
pub mod invocation;
pub mod metrics;
pub mod names;
pub mod options;
mod outbox;
mod prepare;
mod reconcile;
pub mod resiliency;
pub mod runtime;
mod scopes;
pub mod services;
pub mod slots;
pub mod trace;

pub use health::Health;
pub use metrics::Metrics;
pub use options::{AppHealth, AppProtocol, Cx, RuntimeOptions, Transport};
pub use proa_resources::go_duration::parse as parse_duration;
pub use resiliency::Resiliency;
pub use runtime::{Runtime, StartError};
