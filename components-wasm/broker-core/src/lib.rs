//! What the components of brokers share, whatever the protocol: addresses, TLS settings, the two halves of a connection, messages that
//! wait for the host, and places to wait at. Nothing here opens a connection of its own accord.

mod address;
mod inbox;
mod once;
mod pause;
pub mod security;
mod table;
mod ttl;
mod waiters;
mod wire;

pub use address::Address;
pub use inbox::Inbox;
pub use once::{Answer, Once, once};
pub use pause::Pause;
pub use table::Table;
pub use ttl::{entry, ttl};
pub use waiters::{Turn, Turns, Waiters};
pub use wire::{Incoming, Outgoing};
