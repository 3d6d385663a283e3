//! Components of other processes: Dapr's `components.v1` over Unix sockets, as a second driver behind the host's handles.
//!
//! [`Sockets`] finds what lies in the sockets folder. A component that is started from there keeps one connection, is initialised over it,
//! and is initialised again when another process takes its place. Nothing here decides what an operation means: each call becomes one
//! message, each answer the host's record of the kind.

mod bindings;
mod component;
mod discover;
mod link;
mod pubsub;
mod secrets;
mod sockets;
mod state;
mod status;
mod stream;
mod wire;

pub use sockets::Sockets;
