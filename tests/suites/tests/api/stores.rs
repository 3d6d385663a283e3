//! A sidecar with one state store, called `store`, of any of the kinds under test.

use proa_harness::{Api, Redis, Sidecar, SidecarBuilder, Wire, component};

/// The stores that every state case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    InMemory,
    Sqlite,
    Redis,
}

/// A store behind a sidecar, and the API over one transport.
pub struct Place {
    pub store: Store,
    pub api: Api,
    pub sidecar: Sidecar,
    _redis: Option<Redis>,
}

impl Place {
    pub async fn new(store: Store, wire: Wire) -> Self {
        let redis = if store == Store::Redis { Some(Redis::start().await) } else { None };
        let sidecar = Sidecar::builder().resource(store.component(redis.as_ref(), &[])).start().await;
        let api = sidecar.api(wire).await;
        Self { store, api, sidecar, _redis: redis }
    }

    /// The same store over the other transport.
    pub async fn other_wire(&self) -> Api {
        let other = if self.api.wire() == Wire::Http { Wire::Grpc } else { Wire::Http };
        self.sidecar.api(other).await
    }
}

impl Store {
    /// Its Component document, with more metadata.
    pub fn component(self, redis: Option<&Redis>, more: &[(&str, &str)]) -> String {
        let host = redis.map(Redis::host).unwrap_or_default();
        let (kind, own) = match self {
            Store::InMemory => ("state.in-memory", vec![]),
            Store::Sqlite => ("state.sqlite", vec![("connectionString", "state.db")]),
            Store::Redis => ("state.redis", vec![("redisHost", host.as_str())]),
        };
        component("store", kind, &[own.as_slice(), more].concat())
    }
}

/// A sidecar with an in-memory store called `store`, for cases where the store does not matter.
pub fn with_memory() -> SidecarBuilder {
    Sidecar::builder().resource(component("store", "state.in-memory", &[]))
}
