//! Secret stores.

use super::{Error, Grpc};

const CATEGORY: &str = "secret";

pub fn not_configured() -> Error {
    Error::plain(CATEGORY, "ERR_SECRET_STORES_NOT_CONFIGURED", 500, Grpc::FailedPrecondition, "secret store is not configured")
}

pub fn not_found(store: &str) -> Error {
    Error::plain(CATEGORY, "ERR_SECRET_STORE_NOT_FOUND", 401, Grpc::InvalidArgument, format!("failed finding secret store with key {store}"))
}

pub fn denied(key: &str, store: &str) -> Error {
    let message = format!("access denied by policy to get {key:?} from {store:?}");
    Error::plain(CATEGORY, "ERR_PERMISSION_DENIED", 403, Grpc::PermissionDenied, message)
}

pub fn get(key: &str, store: &str, why: &str) -> Error {
    Error::plain(CATEGORY, "ERR_SECRET_GET", 500, Grpc::Internal, format!("failed getting secret with key {key} from secret store {store}: {why}"))
}

pub fn get_bulk(store: &str, why: &str) -> Error {
    Error::plain(CATEGORY, "ERR_SECRET_GET", 500, Grpc::Internal, format!("failed getting secrets from secret store {store}: {why}"))
}
