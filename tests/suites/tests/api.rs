//! The API as applications see it: every case over HTTP and over gRPC, state cases also over every store.
//!
//! A case is an ordinary function of a transport (and a store); the macros below turn it into one test per combination, so
//! that a failure names both.

/// One test per transport for each case `async fn case(wire: Wire)`.
macro_rules! over_both_wires {
    ($($case:ident),* $(,)?) => {
        mod http {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Http).await })*
        }
        mod grpc {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Grpc).await })*
        }
    };
}

/// One test per store and transport for each case `async fn case(place: &Place)`.
macro_rules! over_every_store {
    ($($case:ident),* $(,)?) => {
        over_every_store!(@store in_memory InMemory, $($case),*);
        over_every_store!(@store sqlite Sqlite, $($case),*);
        over_every_store!(@store redis Redis, $($case),*);
    };
    (@store $module:ident $store:ident, $($case:ident),*) => {
        mod $module {
            over_every_store!(@wire http Http $store, $($case),*);
            over_every_store!(@wire grpc Grpc $store, $($case),*);
        }
    };
    (@wire $module:ident $wire:ident $store:ident, $($case:ident),*) => {
        mod $module {
            $(#[tokio::test] async fn $case() {
                let place = crate::stores::Place::new(crate::stores::Store::$store, proa_harness::Wire::$wire).await;
                super::super::$case(&place).await
            })*
        }
    };
}

#[path = "api/bindings.rs"]
mod bindings;
#[path = "api/cloud_events.rs"]
mod cloud_events;
#[path = "api/guards.rs"]
mod guards;
#[path = "api/lifecycle.rs"]
mod lifecycle;
#[path = "api/metadata.rs"]
mod metadata;
#[path = "api/publish.rs"]
mod publish;
#[path = "api/redis_connections.rs"]
mod redis_connections;
#[path = "api/secrets.rs"]
mod secrets;
#[path = "api/state.rs"]
mod state;
#[path = "api/state_encryption.rs"]
mod state_encryption;
#[path = "api/state_errors.rs"]
mod state_errors;
#[path = "api/state_etags.rs"]
mod state_etags;
#[path = "api/state_prefix.rs"]
mod state_prefix;
#[path = "api/state_ttl.rs"]
mod state_ttl;
#[path = "api/stores.rs"]
mod stores;
