//! Service invocation.

use super::{Error, Grpc};

const CATEGORY: &str = "service-invocation";
const CODE: &str = "ERR_DIRECT_INVOKE";

/// Also the answer to every path and method that no route knows.
pub fn no_target() -> Error {
    Error::plain(CATEGORY, CODE, 404, Grpc::NotFound, "failed getting app id either from the URL path or the header dapr-app-id")
}

pub fn not_ready() -> Error {
    Error::plain(CATEGORY, CODE, 500, Grpc::Internal, "invoke API is not ready")
}

pub fn failed(app_id: &str, why: &str) -> Error {
    Error::plain(CATEGORY, CODE, 500, Grpc::Internal, format!("failed to invoke, id: {app_id}, err: {why}"))
}
