//! Calls between applications through two sidecars: HTTP, gRPC, crossed and proxied.
//!
//! Every case of a pair runs with two sidecars under test, and, when `PROA_PEER` names another binary (Dapr's own `daprd`), with that one as the
//! caller and as the callee.

/// One test per pair for each case `async fn case(pair: Pair)`.
macro_rules! over_every_pair {
    ($($case:ident),* $(,)?) => {
        mod alike {
            $(#[tokio::test] async fn $case() { super::$case(crate::pair::Pair::Alike).await })*
        }
        mod calling_the_peer {
            $(#[tokio::test] async fn $case() { if crate::pair::peer().is_some() { super::$case(crate::pair::Pair::CallingThePeer).await } })*
        }
        mod called_by_the_peer {
            $(#[tokio::test] async fn $case() { if crate::pair::peer().is_some() { super::$case(crate::pair::Pair::CalledByThePeer).await } })*
        }
    };
}

#[path = "invocation/access.rs"]
mod access;
#[path = "invocation/endpoints.rs"]
mod endpoints;
#[path = "invocation/grpc.rs"]
mod grpc;
#[path = "invocation/http.rs"]
mod http;
#[path = "invocation/pair.rs"]
mod pair;
#[path = "invocation/policies.rs"]
mod policies;
#[path = "invocation/proxy.rs"]
mod proxy;
#[path = "invocation/wire.rs"]
mod wire;
