//! Secrets: read by the application within its scopes, and by the runtime for other components.

use crate::call::{Operation, call};
use crate::metrics::Family;
use crate::options::Cx;
use crate::runtime::Runtime;
use crate::slots::Slot;
use proa_host::kinds::secretstores::Error as StoreError;
use proa_host::manifest::Kind;
use proa_model::{Error, Metadata, error};
use proa_resources::configuration::SecretScope;
use std::sync::Arc;

fn text(error: StoreError) -> String {
    match error {
        StoreError::NotFound(t) | StoreError::Denied(t) | StoreError::InvalidArgument(t) | StoreError::Unavailable(t) | StoreError::Other(t) => t,
    }
}

fn find(runtime: &Runtime, store: &str) -> Result<Arc<Slot>, Error> {
    match runtime.slots.find(Kind::SecretStores, store).filter(|s| s.peek().is_some()) {
        Some(slot) => Ok(slot),
        None if !runtime.slots.any(Kind::SecretStores) => Err(error::secret::not_configured()),
        None => Err(error::secret::not_found(store)),
    }
}

/// Whether the application may read a secret of a store.
fn permitted(scope: Option<&SecretScope>, key: &str) -> bool {
    let Some(scope) = scope else { return true };
    let listed = |list: &[String]| list.iter().any(|k| k == key);
    if listed(&scope.denied_secrets) {
        return false;
    }
    if listed(&scope.allowed_secrets) {
        return true;
    }
    scope.allowed_secrets.is_empty() && !scope.default_access.eq_ignore_ascii_case("deny")
}

fn scope<'a>(scopes: &'a [SecretScope], store: &str) -> Option<&'a SecretScope> {
    scopes.iter().find(|s| s.store_name == store)
}

pub async fn get(runtime: &Runtime, _cx: &Cx, store: &str, key: &str, metadata: Metadata) -> Result<Vec<(String, String)>, Error> {
    find(runtime, store)?;
    let configuration = runtime.configuration();
    if !permitted(scope(&configuration.secrets, store), key) {
        return Err(error::secret::denied(key, store));
    }
    fetch(runtime, store, key, metadata).await.map_err(|why| error::secret::get(key, store, &why))
}

/// A secret, whoever asks.
pub async fn fetch(runtime: &Runtime, store: &str, key: &str, metadata: Metadata) -> Result<Vec<(String, String)>, String> {
    let slot = find(runtime, store).map_err(|e| e.message)?;
    let operation = Operation { family: Family::Secret, name: "get", read: true };
    let answer = call(runtime, &slot, operation, |lease| {
        let (key, metadata) = (key.to_owned(), metadata.clone());
        async move { lease.generation.secrets().get(key, metadata).await }
    });
    answer.await.map_err(|e| e.to_string())?.map_err(text)
}

pub async fn get_bulk(runtime: &Runtime, _cx: &Cx, store: &str, metadata: Metadata) -> Result<Vec<(String, Vec<(String, String)>)>, Error> {
    let slot = find(runtime, store)?;
    let operation = Operation { family: Family::Secret, name: "bulk_get", read: true };
    let answer = call(runtime, &slot, operation, |lease| {
        let metadata = metadata.clone();
        async move { lease.generation.secrets().get_all(metadata).await }
    });
    let failed = |why: &str| error::secret::get_bulk(store, why);
    let secrets = answer.await.map_err(|e| failed(&e.to_string()))?.map_err(|e| failed(&text(e)))?;
    let configuration = runtime.configuration();
    let scope = scope(&configuration.secrets, store);
    Ok(secrets.into_iter().filter(|(key, _)| permitted(scope, key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_decide() {
        let scope = |default: &str, allowed: &[&str], denied: &[&str]| SecretScope {
            store_name: "s".into(),
            default_access: default.into(),
            allowed_secrets: allowed.iter().map(|s| (*s).to_owned()).collect(),
            denied_secrets: denied.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert!(permitted(None, "a") && permitted(Some(&scope("", &[], &[])), "a"));
        assert!(!permitted(Some(&scope("deny", &[], &[])), "a") && permitted(Some(&scope("deny", &["a"], &[])), "a"));
        assert!(!permitted(Some(&scope("allow", &["a"], &[])), "b") && !permitted(Some(&scope("allow", &[], &["b"])), "b"));
    }
}
