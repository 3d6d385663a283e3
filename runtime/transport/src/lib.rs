//! Bytes in, bytes out: the HTTP and gRPC APIs of the sidecar, and the channel to the application.
//!
//! Handlers only translate between a wire and the services of the core. Endpoints are data ([`routes`]): lists of allowed APIs,
//! metrics and logs read that table.

pub mod app;
pub mod body;
pub mod export;
pub mod grpc;
pub mod http;
pub(crate) mod invocation;
pub mod listen;
pub mod outside;
pub mod peers;
mod pool;
mod raw;
pub mod routes;
pub mod tls;
pub(crate) mod trace;
