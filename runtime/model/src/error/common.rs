//! Errors of requests as such, and of health.

use super::{Error, Grpc};

pub fn body_read(why: &str) -> Error {
    Error::plain("common", "ERR_BODY_READ", 400, Grpc::InvalidArgument, format!("failed to read request body: {why}"))
}

pub fn malformed_request(why: &str) -> Error {
    Error::plain("common", "ERR_MALFORMED_REQUEST", 400, Grpc::InvalidArgument, format!("failed deserializing HTTP body: {why}"))
}

/// A malformed request in the caller's own words.
pub fn malformed(message: impl Into<String>) -> Error {
    Error::plain("common", "ERR_MALFORMED_REQUEST", 400, Grpc::InvalidArgument, message)
}

pub fn malformed_data(why: &str) -> Error {
    Error::plain("common", "ERR_MALFORMED_REQUEST_DATA", 500, Grpc::Internal, format!("can't serialize request data field: {why}"))
}

pub fn too_large(limit: usize) -> Error {
    Error::plain("common", "ERR_BODY_READ", 413, Grpc::ResourceExhausted, format!("request body is larger than the limit of {limit} bytes"))
}

pub fn internal(message: impl Into<String>) -> Error {
    Error::plain("common", "ERR_INTERNAL", 500, Grpc::Internal, message)
}

pub fn bad_request(message: impl Into<String>) -> Error {
    Error::plain("common", "ERR_BAD_REQUEST", 400, Grpc::InvalidArgument, message)
}

pub fn unimplemented(message: impl Into<String>) -> Error {
    Error::plain("common", "ERR_API_UNIMPLEMENTED", 501, Grpc::Unimplemented, message)
}

pub fn not_ready(targets: &[String]) -> Error {
    Error::plain("health", "ERR_HEALTH_NOT_READY", 500, Grpc::Internal, format!("dapr is not ready: [{}]", targets.join(" ")))
}

pub fn outbound_not_ready() -> Error {
    Error::plain("health", "ERR_OUTBOUND_HEALTH_NOT_READY", 500, Grpc::Internal, "dapr outbound is not ready")
}

pub fn app_id_mismatch() -> Error {
    Error::plain("health", "ERR_HEALTH_APPID_NOT_MATCH", 500, Grpc::Internal, "dapr app-id does not match")
}
