//! Which interfaces a module exports, found once when it is loaded. The presence of an export is the capability.

use crate::ctx::Ctx;
use crate::manifest::{Kind, Manifest};
use crate::wit::exports::proa;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{AsContextMut, Result};
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler as standard;

macro_rules! interfaces {
    ($($field:ident: $kind:ident :: $iface:ident = $name:literal),* $(,)?) => {
        /// Where the exports lie in a compiled module.
        pub struct Indices {
            lifecycle: Option<proa::component::lifecycle::GuestIndices>,
            standard: Option<standard::GuestIndices>,
            $($field: Option<proa::$kind::$iface::GuestIndices>,)*
        }

        /// The exports of one instance.
        pub struct Exports {
            pub lifecycle: Option<proa::component::lifecycle::Guest>,
            pub standard: Option<standard::Guest>,
            $(pub $field: Option<proa::$kind::$iface::Guest>,)*
        }

        impl Indices {
            pub fn of(pre: &InstancePre<Ctx>) -> Self {
                Self {
                    lifecycle: proa::component::lifecycle::GuestIndices::new(pre).ok(),
                    standard: standard::GuestIndices::new(pre).ok(),
                    $($field: proa::$kind::$iface::GuestIndices::new(pre).ok(),)*
                }
            }

            pub fn load(&self, mut store: impl AsContextMut<Data = Ctx>, instance: &Instance) -> Result<Exports> {
                Ok(Exports {
                    lifecycle: self.lifecycle.as_ref().map(|i| i.load(&mut store, instance)).transpose()?,
                    standard: self.standard.as_ref().map(|i| i.load(&mut store, instance)).transpose()?,
                    $($field: self.$field.as_ref().map(|i| i.load(&mut store, instance)).transpose()?,)*
                })
            }

            /// The names of the interfaces that are there, for people.
            pub fn names(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                if self.standard() {
                    names.push("wasi:http/handler");
                }
                $(if self.$field.is_some() {
                    names.push($name);
                })*
                names
            }

            $(pub fn $field(&self) -> bool {
                self.$field.is_some()
            })*
        }
    };
}

interfaces! {
    health: component::health = "component/health",
    snapshot: component::snapshot = "component/snapshot",
    state_store: state::store = "state/store",
    state_transactions: state::transactions = "state/transactions",
    state_bulk: state::bulk = "state/bulk",
    state_query: state::query = "state/query",
    state_list_keys: state::list_keys = "state/list-keys",
    state_delete_prefix: state::delete_prefix = "state/delete-prefix",
    publisher: pubsub::publisher = "pubsub/publisher",
    bulk_publisher: pubsub::bulk_publisher = "pubsub/bulk-publisher",
    subscriber: pubsub::subscriber = "pubsub/subscriber",
    output: bindings::output = "bindings/output",
    input: bindings::input = "bindings/input",
    secrets: secretstores::store = "secretstores/store",
    configuration: configuration::store = "configuration/store",
    configuration_watch: configuration::watch = "configuration/watch",
    lock: lock::store = "lock/store",
    crypto: crypto::provider = "crypto/provider",
    conversation: conversation::provider = "conversation/provider",
    resolver: nameresolution::resolver = "nameresolution/resolver",
    handler: middleware::handler = "middleware/handler",
    phases: middleware::phases = "middleware/phases",
}

impl Indices {
    /// `wasi:http/handler`, of the standard world for middleware.
    pub fn standard(&self) -> bool {
        self.standard.is_some()
    }

    /// What is missing for a module to be what its manifest says.
    pub fn missing(&self, manifest: &Manifest) -> Option<&'static str> {
        let kind = manifest.kind;
        if kind == Kind::Middleware && manifest.world.as_deref().is_some_and(crate::middleware::standard::is_world) {
            // That world has no lifecycle.
            return (!self.standard()).then_some("wasi:http/handler");
        }
        if self.lifecycle.is_none() {
            return Some("proa:component/lifecycle");
        }
        let (there, name) = match kind {
            Kind::State => (self.state_store(), "proa:state/store"),
            Kind::Pubsub => (self.publisher() || self.subscriber(), "proa:pubsub/publisher"),
            Kind::Bindings => (self.output() || self.input(), "proa:bindings/output or proa:bindings/input"),
            Kind::SecretStores => (self.secrets(), "proa:secretstores/store"),
            Kind::Configuration => (self.configuration(), "proa:configuration/store"),
            Kind::Lock => (self.lock(), "proa:lock/store"),
            Kind::Crypto => (self.crypto(), "proa:crypto/provider"),
            Kind::Conversation => (self.conversation(), "proa:conversation/provider"),
            Kind::NameResolution => (self.resolver(), "proa:nameresolution/resolver"),
            Kind::Middleware => (self.handler() || self.phases(), "proa:middleware/handler"),
        };
        (!there).then_some(name)
    }
}
