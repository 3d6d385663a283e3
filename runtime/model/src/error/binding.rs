//! Bindings.

use super::{Error, Grpc};

pub fn invoke(name: &str, why: &str) -> Error {
    Error::plain("binding", "ERR_INVOKE_OUTPUT_BINDING", 500, Grpc::Internal, format!("error invoking output binding {name}: {why}"))
}
