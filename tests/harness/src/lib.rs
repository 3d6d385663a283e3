//! What the test suites are written with: a sidecar process, the apps beside it, servers it talks to, clients of its API.
//!
//! Nothing here knows how the sidecar is built: it is a binary given by path (`PROA_BIN`) and spoken to over the wire, so
//! every suite also runs against Dapr's own `daprd`. Failures panic with what was expected and, where it helps, the log.

pub mod api;
pub mod app;
pub mod broker;
pub mod collector;
pub mod grpc;
pub mod grpc_app;
pub mod http;
pub mod logs;
pub mod pluggable;
pub mod ports;
pub mod redis;
pub mod resources;
pub mod sidecar;
pub mod streams;
pub mod wait;

pub use api::{Api, ApiError, Item, Wire};
pub use app::{Answer, App, Recorded};
pub use broker::{BrokerServer, Certificates};
pub use collector::{Collector, SeenSpan};
pub use grpc_app::{GrpcApp, Verdict};
pub use http::{Http, Reply};
pub use ports::free_port;
pub use redis::Redis;
pub use resources::{component, configuration, subscription};
pub use sidecar::{AppEndpoint, Sidecar, SidecarBuilder, Stopped};
pub use wait::{stays, until};

/// Whether the binary under test is Dapr's own, told by `PROA_REFERENCE`: the few tests of what only this project promises
/// return at once then.
pub fn against_dapr() -> bool {
    std::env::var_os("PROA_REFERENCE").is_some()
}

/// Dapr's protocol types.
pub use proa_protocol as protocol;
