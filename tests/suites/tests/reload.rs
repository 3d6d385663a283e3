//! Change without a gap: whatever is replaced, removed, added or broken while calls go on, no call fails and nothing is lost.
//!
//! Every case runs under load from both transports and keeps a ledger on the client's side. `PROA_SWAPS` says how often a case
//! swaps (default 20), `PROA_CLIENTS` how many clients load it without a pause (default: a few, with pauses), `PROA_EVENTS` how many
//! events the cases of brokers publish at least. Each case prints a line: swaps, requests, failures, latency in rest and while swapping.

// Each suite uses its part of these two.
#[allow(dead_code)]
#[path = "shared/guests.rs"]
mod guests;
#[allow(dead_code)]
#[path = "shared/process.rs"]
mod process;

#[path = "reload/attempts.rs"]
mod attempts;
#[path = "reload/brokers.rs"]
mod brokers;
#[path = "reload/failures.rs"]
mod failures;
#[path = "reload/files.rs"]
mod files;
#[path = "reload/ledger.rs"]
mod ledger;
#[path = "reload/load.rs"]
mod load;
#[path = "reload/middleware.rs"]
mod middleware;
#[path = "reload/modules.rs"]
mod modules;
#[path = "reload/resources.rs"]
mod resources;
#[path = "reload/secrets.rs"]
mod secrets;
#[path = "reload/snapshots.rs"]
mod snapshots;
#[path = "reload/stores.rs"]
mod stores;

/// How often a case swaps.
pub fn swaps() -> u32 {
    number("PROA_SWAPS").unwrap_or(20)
}

/// How many clients call without a pause; none: a few that pause.
pub fn clients() -> Option<usize> {
    number("PROA_CLIENTS")
}

/// How many events are published at least.
pub fn events() -> u64 {
    number("PROA_EVENTS").unwrap_or(0)
}

fn number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}
