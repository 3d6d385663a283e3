//! Who may do what: secrets the app may read, apps that may call it, API endpoints that exist.

use crate::fields::{FieldError, Fields, Note};
use serde::Serialize;
use std::collections::HashSet;

/// Access of the app to the secrets of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretScope {
    /// The store.
    pub store_name: String,
    /// `allow` or `deny` in any case; empty means `allow`.
    pub default_access: String,
    /// Sorted; when not empty, nothing else may be read.
    pub allowed_secrets: Vec<String>,
    /// Sorted; never to be read.
    pub denied_secrets: Vec<String>,
}

/// `accessControl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessControl {
    /// `allow` (the default) or `deny`.
    pub default_action: String,
    /// The callers' trust domain; `public` by default.
    pub trust_domain: String,
    /// Per calling app.
    pub policies: Vec<AccessPolicy>,
}

/// What one app may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccessPolicy {
    /// The calling app.
    pub app_id: String,
    /// For operations that are not listed; empty means the general one.
    pub default_action: String,
    /// The caller's trust domain.
    pub trust_domain: String,
    /// The caller's namespace.
    pub namespace: String,
    /// Single operations.
    pub operations: Vec<AccessOperation>,
}

/// An operation and whether it may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccessOperation {
    /// The path, with `*` wildcards.
    pub name: String,
    /// The methods that it is about; `*` means all.
    pub http_verb: Vec<String>,
    /// `allow` or `deny`.
    pub action: String,
}

/// `api`: endpoints of the sidecar that exist for apps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ApiAccess {
    /// When not empty, only these.
    pub allowed: Vec<ApiRule>,
    /// Never these.
    pub denied: Vec<ApiRule>,
}

/// A group of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ApiRule {
    /// The group's name, for example `state`.
    pub name: String,
    /// The version, for example `v1.0`.
    pub version: String,
    /// `http` or `grpc` in any case.
    pub protocol: String,
}

impl SecretScope {
    /// Whether the app may read `key` of this store.
    pub fn allows(&self, key: &str) -> bool {
        if !self.allowed_secrets.is_empty() {
            return self.allowed_secrets.iter().any(|allowed| allowed == key);
        }
        !self.denied_secrets.iter().any(|denied| denied == key) && !self.default_access.eq_ignore_ascii_case("deny")
    }
}

impl Default for AccessControl {
    fn default() -> Self {
        Self { default_action: "allow".to_owned(), trust_domain: "public".to_owned(), policies: Vec::new() }
    }
}

pub(super) fn read_secrets(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Vec<SecretScope>, FieldError> {
    let mut secrets = spec.child("secrets")?;
    let mut scopes = Vec::new();
    for (value, path) in secrets.items("scopes")? {
        let mut scope = Fields::of(Some(value), &path)?;
        scopes.push(SecretScope {
            store_name: scope.text("storeName")?,
            default_access: scope.text("defaultAccess")?,
            allowed_secrets: scope.texts("allowedSecrets")?,
            denied_secrets: scope.texts("deniedSecrets")?,
        });
        scope.finish(notes);
    }
    secrets.finish(notes);
    Ok(scopes)
}

/// Sorts the lists and refuses contradictions.
pub(super) fn check_secrets(scopes: &mut [SecretScope]) -> Result<(), String> {
    let mut stores = HashSet::new();
    for scope in scopes {
        if !stores.insert(scope.store_name.clone()) {
            return Err(format!("{} storeName is repeated in secrets configuration", scope.store_name));
        }
        let access = scope.default_access.to_ascii_lowercase();
        if !matches!(access.as_str(), "" | "allow" | "deny") {
            return Err(format!("defaultAccess {} can be either allow or deny", scope.default_access));
        }
        scope.allowed_secrets.sort();
        scope.denied_secrets.sort();
    }
    Ok(())
}

/// An explicit `null` means no control at all; absence means the defaults.
pub(super) fn read_control(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Option<AccessControl>, FieldError> {
    if spec.is_null("accessControl") {
        return Ok(None);
    }
    let mut control = spec.child("accessControl")?;
    let mut read = AccessControl::default();
    read.default_action = control.text_option("defaultAction")?.unwrap_or(read.default_action);
    read.trust_domain = control.text_option("trustDomain")?.unwrap_or(read.trust_domain);
    for (value, path) in control.items("policies")? {
        let mut policy = Fields::of(Some(value), &path)?;
        let mut operations = Vec::new();
        for (value, path) in policy.items("operations")? {
            let mut operation = Fields::of(Some(value), &path)?;
            operations.push(AccessOperation {
                name: operation.text("name")?,
                http_verb: operation.texts("httpVerb")?,
                action: operation.text("action")?,
            });
            operation.finish(notes);
        }
        read.policies.push(AccessPolicy {
            app_id: policy.text("appId")?,
            default_action: policy.text("defaultAction")?,
            trust_domain: policy.text("trustDomain")?,
            namespace: policy.text("namespace")?,
            operations,
        });
        policy.finish(notes);
    }
    control.finish(notes);
    Ok(Some(read))
}

pub(super) fn read_api(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ApiAccess, FieldError> {
    let mut api = spec.child("api")?;
    let mut rules = |name| -> Result<Vec<ApiRule>, FieldError> {
        let mut rules = Vec::new();
        for (value, path) in api.items(name)? {
            let mut rule = Fields::of(Some(value), &path)?;
            rules.push(ApiRule { name: rule.text("name")?, version: rule.text("version")?, protocol: rule.text("protocol")? });
            rule.finish(notes);
        }
        Ok(rules)
    };
    let read = ApiAccess { allowed: rules("allowed")?, denied: rules("denied")? };
    api.finish(notes);
    Ok(read)
}
