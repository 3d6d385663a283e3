//! State stores.

use super::{Error, Grpc};

const CATEGORY: &str = "state";

pub fn not_configured(store: &str, app_id: &str) -> Error {
    app(
        Error::plain(CATEGORY, "ERR_STATE_STORE_NOT_CONFIGURED", 500, Grpc::FailedPrecondition, format!("state store {store} is not configured")),
        app_id,
    )
    .reason("DAPR_STATE_NOT_CONFIGURED")
}

pub fn not_found(store: &str, app_id: &str) -> Error {
    app(Error::plain(CATEGORY, "ERR_STATE_STORE_NOT_FOUND", 400, Grpc::InvalidArgument, format!("state store {store} is not found")), app_id)
        .reason("DAPR_STATE_NOT_FOUND")
}

fn app(error: Error, app_id: &str) -> Error {
    if app_id.is_empty() { error } else { error.with("appID", app_id) }
}

fn of(store: &str, error: Error) -> Error {
    error.resource("state", store, "", "")
}

pub fn illegal_key(store: &str, key: &str) -> Error {
    let message = format!("input key/keyPrefix '{key}' can't contain '||'");
    of(store, Error::plain(CATEGORY, "ERR_MALFORMED_REQUEST", 400, Grpc::InvalidArgument, message.clone()))
        .reason("DAPR_STATE_ILLEGAL_KEY")
        .violation(key, message)
}

pub fn transactions_not_supported(store: &str) -> Error {
    let message = format!("state store {store} doesn't support transactions");
    of(store, Error::plain(CATEGORY, "ERR_STATE_STORE_NOT_SUPPORTED", 500, Grpc::Unimplemented, message))
        .reason("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED")
        .help(
            "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
            "Check the list of state stores and the features they support",
        )
}

pub fn too_many_operations(store: &str, count: usize, max: u32) -> Error {
    let message = format!("the transaction contains {count} operations, which is more than what the state store supports: {max}");
    of(store, Error::plain(CATEGORY, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS", 400, Grpc::InvalidArgument, message))
        .reason("DAPR_STATE_TOO_MANY_TRANSACTIONS")
        .with("currentOpsTransaction", count.to_string())
        .with("maxOpsPerTransaction", max.to_string())
}

pub fn query_not_supported(store: &str) -> Error {
    of(store, Error::plain(CATEGORY, "ERR_STATE_STORE_NOT_SUPPORTED", 500, Grpc::Internal, "state store does not support querying"))
        .reason("DAPR_STATE_QUERYING_NOT_SUPPORTED")
}

pub fn query_failed(store: &str, detail: &str) -> Error {
    of(store, Error::plain(CATEGORY, "ERR_STATE_QUERY", 500, Grpc::Internal, format!("state store {store} query failed: {detail}")))
        .reason("DAPR_STATE_QUERY_FAILED")
}

/// What a store said, apart from its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    EtagMismatch,
    EtagInvalid,
    Other,
}

impl Outcome {
    fn status(self) -> (u16, Grpc) {
        match self {
            Self::EtagMismatch => (409, Grpc::Aborted),
            Self::EtagInvalid => (400, Grpc::InvalidArgument),
            Self::Other => (500, Grpc::Internal),
        }
    }
}

fn failed(code: &'static str, outcome: Outcome, message: String) -> Error {
    let (http, grpc) = outcome.status();
    Error::plain(CATEGORY, code, http, grpc, message)
}

pub fn get(key: &str, store: &str, why: &str) -> Error {
    failed("ERR_STATE_GET", Outcome::Other, format!("fail to get {key} from state store {store}: {why}"))
}

pub fn save(store: &str, outcome: Outcome, why: &str) -> Error {
    failed("ERR_STATE_SAVE", outcome, format!("failed saving state in state store {store}: {why}"))
}

pub fn delete(key: &str, outcome: Outcome, why: &str) -> Error {
    failed("ERR_STATE_DELETE", outcome, format!("failed deleting state with key {key}: {why}"))
}

pub fn delete_bulk(store: &str, outcome: Outcome, why: &str) -> Error {
    failed("ERR_STATE_BULK_DELETE", outcome, format!("failed deleting state in state store {store}: {why}"))
}

pub fn get_bulk(why: &str) -> Error {
    failed("ERR_STATE_BULK_GET", Outcome::Other, why.to_owned())
}

pub fn transaction(why: &str) -> Error {
    failed("ERR_STATE_TRANSACTION", Outcome::Other, format!("error while executing state transaction: {why}"))
}

/// `http` differs between the transports: HTTP calls it a bad request.
pub fn unsupported_operation(operation: &str) -> Error {
    Error::plain(CATEGORY, "ERR_NOT_SUPPORTED_STATE_OPERATION", 400, Grpc::Unimplemented, format!("operation type {operation} not supported"))
}

pub fn key_required() -> Error {
    Error::plain("common", "ERR_MALFORMED_REQUEST", 400, Grpc::InvalidArgument, "\"key\" is a required field")
}

pub fn key_empty() -> Error {
    Error::plain(CATEGORY, "ERR_STATE_SAVE", 400, Grpc::InvalidArgument, "state key cannot be empty")
}
