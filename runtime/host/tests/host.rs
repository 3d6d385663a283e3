//! Proofs of what the host promises, with real guests and no sidecar around them: bodies stream in bounded memory, nothing is
//! held back, whoever goes away ends the work done for him, and a guest that fails is cut off and replaced.
//!
//! Needs built components: the shipped ones (`PROA_GUESTS`, default `bin/components`) and those of `tests/guests`
//! (`PROA_TEST_GUESTS`, default the folder that its `build.sh` prints). One test at a time, because they measure the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "host/bench.rs"]
mod bench;
#[path = "host/bodies.rs"]
mod bodies;
#[path = "host/failures.rs"]
mod failures;
#[path = "host/pull.rs"]
mod pull;
#[path = "host/stage.rs"]
mod stage;
