//! The side of the components: modules become generations of instances that serve calls; components of other processes stand beside
//! them behind the same handles ([`remote`]).
//!
//! The only crate that knows wasmtime. [`Host`] finds and compiles modules, [`Generation`] is one initialised configuration of
//! one module, and the files under `kinds` say what may be asked of it. A misbehaving guest harms its own instance only.

pub mod cache;
pub mod catalogue;
mod ctx;
pub mod driver;
mod engine;
mod exports;
pub mod generation;
pub mod grants;
mod imports;
pub mod inspect;
pub mod kinds;
pub mod manifest;
pub mod middleware;
pub mod module;
pub mod remote;
pub mod start;
pub mod wit;

pub use driver::CallError;
pub use generation::Generation;
pub use manifest::{Kind, Manifest};
pub use middleware::{Body, BoxError, Service};
pub use module::{Module, ModuleError};
pub use start::{Host, HostOptions, StartError, StartSpec};
