//! What the operations of the API mean: one file a building block, one function an operation.

pub mod bindings;
pub mod invoke;
pub mod metadata;
pub mod pubsub;
pub mod secrets;
pub mod state;

/// Blocks whose components are not there.
pub mod absent {
    pub use proa_model::error::absent::*;
}
