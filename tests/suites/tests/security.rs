//! Components that misbehave harm themselves only: the sidecar stays healthy and small, the neighbours answer, every caller gets an
//! answer, and the log says who it was and why.

// Each suite uses its part of these two.
#[allow(dead_code)]
#[path = "shared/guests.rs"]
mod guests;
#[allow(dead_code)]
#[path = "shared/process.rs"]
mod process;

#[path = "security/bystander.rs"]
mod bystander;
#[path = "security/callers.rs"]
mod callers;
#[path = "security/grants.rs"]
mod grants;
#[path = "security/pool.rs"]
mod pool;
#[path = "security/stages.rs"]
mod stages;
#[path = "security/stores.rs"]
mod stores;
