//! Components that misbehave harm themselves only: the sidecar stays healthy and small, the neighbours answer, every caller gets an
//! answer, and the log says who it was and why.

#[path = "shared/guests.rs"]
mod guests;
#[path = "shared/process.rs"]
#[allow(dead_code)]
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
