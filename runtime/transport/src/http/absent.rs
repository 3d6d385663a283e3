//! Building blocks without a component.

use super::request::Call;
use crate::routes::Operation;
use proa_core::services::absent;
use proa_model::Error;
use proa_model::error::{common, invoke};

pub fn answer(operation: Operation, call: &Call<'_>) -> Error {
    match operation {
        Operation::Configuration => absent::configuration(),
        Operation::Lock => absent::lock(),
        Operation::Crypto => absent::crypto(),
        Operation::SubtleCrypto => common::unimplemented("this API is currently not implemented"),
        Operation::Conversation => absent::conversation(&call.param(0)),
        Operation::Actors => absent::actors(),
        Operation::Workflow => absent::workflow(),
        Operation::Jobs => absent::jobs(),
        _ => invoke::not_ready(),
    }
}
