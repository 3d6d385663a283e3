//! Blocks without a component, as they answer when nothing is configured.

use super::{Error, Grpc};

pub fn configuration() -> Error {
    Error::plain("configuration", "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", 500, Grpc::FailedPrecondition, "configuration stores not configured")
}

pub fn lock() -> Error {
    Error::plain("lock", "ERR_LOCK_STORE_NOT_CONFIGURED", 500, Grpc::FailedPrecondition, "lock store is not configured")
}

pub fn crypto() -> Error {
    Error::plain("crypto", "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED", 500, Grpc::Internal, "crypto providers not configured")
}

pub fn conversation(name: &str) -> Error {
    Error::plain("conversation", "ERR_CONVERSATION_NOT_FOUND", 400, Grpc::InvalidArgument, format!("failed finding conversation component {name}"))
}

pub fn actors() -> Error {
    let message = "the state store is not configured to use the actor runtime. Have you set the - name: actorStateStore value: \"true\" in your state store component file?";
    Error::plain("actor", "ERR_ACTOR_RUNTIME_NOT_FOUND", 500, Grpc::Internal, message)
}

pub fn workflow() -> Error {
    actors()
}

pub fn jobs() -> Error {
    Error::plain("job", "DAPR_SCHEDULER_EMPTY", 500, Grpc::Internal, "Scheduler client is not configured").reason("DAPR_SCHEDULER_EMPTY")
}
