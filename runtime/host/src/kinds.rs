//! What may be asked of a generation, kind by kind: one file each, one method an operation of the interface.

pub mod bindings;
pub mod configuration;
pub mod conversation;
pub mod crypto;
pub mod lock;
pub mod nameresolution;
pub mod pubsub;
pub mod secretstores;
pub mod state;

use crate::ctx::Ctx;
use crate::exports::Exports;
use crate::generation::Facts;
use crate::wit::exports::proa::component::snapshot;
use bytes::Bytes;
use wasmtime::component::{Accessor, StreamReader};
use wasmtime::{Result, Store};

/// Declares the methods of a kind's handle: each is one call of one exported function. With a further name, it is also a trait, which a
/// component outside wasm implements.
macro_rules! calls {
    ($handle:ident, $field:ident, $interface:literal, $remote:ident: $($(#[$doc:meta])* $name:ident = $call:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        #[doc = concat!("`", $interface, "` outside wasm.")]
        pub trait $remote: Send + Sync {
            $($(#[$doc])*
            fn $name(&self, $($arg: $ty),*) -> crate::remote::Answer<'_, $ret>;)*
        }

        impl $handle<'_> {
            $($(#[$doc])*
            pub async fn $name(&self, $($arg: $ty),*) -> std::result::Result<$ret, crate::CallError> {
                if let Some(elsewhere) = self.0.elsewhere() {
                    return match elsewhere.$field() {
                        Some(remote) => remote.$name($($arg),*).await,
                        None => Err(crate::CallError::Unsupported($interface)),
                    };
                }
                crate::kinds::calls!(@wasm self, $field, $interface, $call($($arg),*))
            })*
        }
    };
    ($handle:ident, $field:ident, $interface:literal: $($(#[$doc:meta])* $name:ident = $call:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        impl $handle<'_> {
            $($(#[$doc])*
            pub async fn $name(&self, $($arg: $ty),*) -> std::result::Result<$ret, crate::CallError> {
                crate::kinds::calls!(@wasm self, $field, $interface, $call($($arg),*))
            })*
        }
    };
    (@wasm $this:ident, $field:ident, $interface:literal, $call:ident($($arg:ident),*)) => {{
        if !$this.0.has(crate::exports::Indices::$field) {
            return Err(crate::CallError::Unsupported($interface));
        }
        $this
            .0
            .call(move |accessor, exports| {
                Box::pin(async move {
                    let guest = exports.$field.as_ref().ok_or_else(|| wasmtime::format_err!("{} is not exported", $interface))?;
                    guest.$call(accessor, $($arg),*).await
                })
            })
            .await
    }};
}
pub(crate) use calls;

/// Health of any kind: none when the component has no `health`.
impl crate::Generation {
    pub async fn ping(&self) -> Option<std::result::Result<(), String>> {
        if let Some(elsewhere) = self.elsewhere() {
            return Some(elsewhere.ping().await);
        }
        if !self.has(crate::exports::Indices::health) {
            return None;
        }
        let answer = self
            .call(|accessor, exports| {
                Box::pin(async move {
                    let health = exports.health.as_ref().ok_or_else(|| wasmtime::format_err!("health is not exported"))?;
                    health.call_ping(accessor).await
                })
            })
            .await;
        Some(answer.unwrap_or_else(|e| Err(e.to_string())))
    }
}

/// Calls the plain functions whose answers never change.
pub(crate) async fn facts(store: &mut Store<Ctx>, exports: &Exports) -> Result<Facts> {
    let mut facts = Facts::default();
    if let Some(output) = &exports.output {
        facts.operations = output.call_operations(&mut *store).await?;
    }
    if let Some(transactions) = &exports.state_transactions {
        facts.max_operations = transactions.call_max_operations(&mut *store).await?;
    }
    if let Some(crypto) = &exports.crypto {
        facts.encryption_algorithms = crypto.call_encryption_algorithms(&mut *store).await?;
        facts.signature_algorithms = crypto.call_signature_algorithms(&mut *store).await?;
    }
    Ok(facts)
}

/// The most that a snapshot may hold.
const SNAPSHOT: usize = 256 << 20;

pub(crate) async fn save(accessor: &Accessor<Ctx>, exports: &Exports) -> Result<std::result::Result<Vec<u8>, String>> {
    let Some(snapshot) = &exports.snapshot else { return Ok(Err("no snapshot".into())) };
    let stream = match snapshot.call_save(accessor).await? {
        Ok(stream) => stream,
        Err(why) => return Ok(Err(why)),
    };
    let (sender, mut chunks) = tokio::sync::mpsc::channel(4);
    accessor.with(|mut access| stream.pipe(&mut access, crate::middleware::body::GuestBytes::new(sender)))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        if bytes.len() + chunk.len() > SNAPSHOT {
            return Ok(Err(format!("the snapshot is larger than {SNAPSHOT} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Ok(bytes))
}

pub(crate) async fn load(accessor: &Accessor<Ctx>, guest: &snapshot::Guest, bytes: Vec<u8>) -> Result<std::result::Result<(), String>> {
    let stream = accessor.with(|mut access| StreamReader::new(&mut access, Bytes::from(bytes)))?;
    guest.call_load(accessor, stream).await
}
