//! What the Redis components share: the settings of Dapr's Redis family, and a client made for one thing, many small commands from
//! many interleaved calls at the least CPU each.
//!
//! [`Client`] keeps one pipelined connection a server: whatever the calls of one turn queue leaves in one write, replies are matched by
//! order. It reconnects by itself, follows sentinels and cluster redirections, and repeats commands that a lost connection or a server
//! in transition refused, as often as `redisMaxRetries` says. [`Dedicated`] is a connection of one's own, for commands that block.
//!
//! Why not a crate: the protocol is small, and a general client's frames, locks and timers a command cost more than the command does.

mod client;
mod cluster;
mod command;
mod connection;
mod dedicated;
mod error;
mod link;
mod pipeline;
mod server;
pub mod settings;
mod slot;
mod value;

pub use client::Client;
pub use command::Command;
pub use dedicated::Dedicated;
pub use error::Error;
pub use settings::{Family, Settings};
pub use value::Value;
