//! From what a document says to what a component gets: environment variables and templates.
//!
//! The environment comes in as a function, so that nothing here depends on the process. Secrets are only listed: their
//! stores are components themselves.

use crate::component::{Component, MetadataItem, MetadataValue};
use crate::go_json::unquoted;

/// A variable that resources may not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("references an env variable that isn't allowed: {0}")]
pub struct DeniedVariable(pub String);

/// A template that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{podName}` outside of a pod.
    #[error("failed to parse metadata: property {0} refers to {{podName}} but podName is not set")]
    NoPodName(String),
}

/// What templates in metadata values stand for.
#[derive(Clone, Copy)]
pub struct TemplateContext<'c> {
    /// `{appID}`.
    pub app_id: &'c str,
    /// `{namespace}` stands for this, a dot and the app id.
    pub namespace: &'c str,
    /// `{podName}`; none outside of Kubernetes.
    pub pod_name: Option<&'c str>,
    /// A fresh value for each `{uuid}`.
    pub uuid: &'c dyn Fn() -> String,
}

/// A secret that a component asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretUse<'c> {
    /// The metadata field that it is for.
    pub item: &'c str,
    /// The store; none means the platform's own.
    pub store: Option<&'c str>,
    /// The secret's name.
    pub name: &'c str,
    /// The key within it.
    pub key: &'c str,
}

/// The value of the environment variable that `item` refers to, or its literal; empty for an unset variable and for a
/// secret. On `DeniedVariable` Dapr warns "`<Kind> <name> references …`" and goes on with an empty value.
pub fn resolve_env(item: &MetadataItem, env: &dyn Fn(&str) -> Option<String>) -> Result<String, DeniedVariable> {
    match &item.value {
        MetadataValue::Literal(text) => Ok(text.clone()),
        MetadataValue::SecretRef { .. } => Ok(String::new()),
        MetadataValue::EnvRef(variable) if env_allowed(variable, env) => Ok(unquoted(&env(variable).unwrap_or_default())),
        MetadataValue::EnvRef(variable) => Err(DeniedVariable(variable.clone())),
    }
}

/// Whether resources may read `variable`: never the API tokens and Dapr's own variables, and only what
/// `DAPR_ENV_KEYS` lists (separated by spaces) when that is set.
pub fn env_allowed(variable: &str, env: &dyn Fn(&str) -> Option<String>) -> bool {
    let key = variable.to_uppercase();
    if key.is_empty() || key == "APP_API_TOKEN" || key.starts_with("DAPR_") || key.contains(' ') {
        return false;
    }
    match env("DAPR_ENV_KEYS").filter(|allowed| !allowed.is_empty()) {
        Some(allowed) => allowed.split(' ').any(|name| name == key),
        None => true,
    }
}

/// `value` with `{uuid}`, `{podName}`, `{namespace}` and `{appID}` filled in; `field` is for the error.
pub fn expand_templates(field: &str, value: &str, context: &TemplateContext<'_>) -> Result<String, TemplateError> {
    if !value.contains('{') {
        return Ok(value.to_owned());
    }
    let mut value = value.to_owned();
    while value.contains("{uuid}") {
        value = value.replacen("{uuid}", &(context.uuid)(), 1);
    }
    if value.contains("{podName}") {
        let pod = context.pod_name.filter(|pod| !pod.is_empty());
        value = value.replace("{podName}", pod.ok_or_else(|| TemplateError::NoPodName(field.to_owned()))?);
    }
    let namespace = format!("{}.{}", context.namespace, context.app_id);
    Ok(value.replace("{namespace}", &namespace).replace("{appID}", context.app_id))
}

/// Whether any literal of the component has `{namespace}` in it: then its topics are prefixed with the namespace.
pub fn uses_namespace(component: &Component) -> bool {
    component.metadata.iter().any(|item| matches!(&item.value, MetadataValue::Literal(text) if text.contains("{namespace}")))
}

/// The secrets that the component asks for, in the document's order.
pub fn secret_refs(component: &Component) -> Vec<SecretUse<'_>> {
    let store = component.auth_secret_store.as_deref();
    let uses = component.metadata.iter().filter_map(|item| match &item.value {
        MetadataValue::SecretRef { name, key } => Some(SecretUse { item: &item.name, store, name, key }),
        _ => None,
    });
    uses.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn variable(name: &str) -> MetadataItem {
        MetadataItem { name: "field".into(), value: MetadataValue::EnvRef(name.into()) }
    }

    #[test]
    fn variables_are_read_unless_denied() {
        let env = |name: &str| (name == "USER_NAME").then(|| "joe".to_owned());
        assert_eq!(resolve_env(&variable("USER_NAME"), &env), Ok("joe".into()));
        assert_eq!(resolve_env(&variable("UNSET"), &env), Ok(String::new()));
        for denied in ["APP_API_TOKEN", "app_api_token", "DAPR_API_TOKEN", "dapr_x", "", "A B"] {
            assert_eq!(resolve_env(&variable(denied), &env), Err(DeniedVariable(denied.into())));
        }
        let literal = MetadataItem { name: "f".into(), value: MetadataValue::Literal("x".into()) };
        assert_eq!(resolve_env(&literal, &env), Ok("x".into()));
    }

    #[test]
    fn an_allow_list_restricts_to_whole_names() {
        let env = |name: &str| (name == "DAPR_ENV_KEYS").then(|| "FOO BAR_BAZ".to_owned());
        assert!(env_allowed("FOO", &env));
        assert!(env_allowed("foo", &env));
        assert!(env_allowed("BAR_BAZ", &env));
        assert!(!env_allowed("BAR", &env));
    }

    #[test]
    fn templates_are_filled_in() {
        let count = std::cell::Cell::new(0);
        let uuid = || {
            count.set(count.get() + 1);
            format!("u{}", count.get())
        };
        let context = TemplateContext { app_id: "app", namespace: "ns", pod_name: None, uuid: &uuid };
        assert_eq!(expand_templates("f", "{uuid}-{uuid}", &context).unwrap(), "u1-u2");
        assert_eq!(expand_templates("f", "{namespace}/{appID}", &context).unwrap(), "ns.app/app");
        assert_eq!(
            expand_templates("consumerID", "{podName}", &context).unwrap_err().to_string(),
            "failed to parse metadata: property consumerID refers to {podName} but podName is not set"
        );
        let pod = TemplateContext { pod_name: Some("pod-0"), ..context };
        assert_eq!(expand_templates("f", "{podName}", &pod).unwrap(), "pod-0");
    }

    #[test]
    fn secrets_are_listed_with_their_store() {
        let component = Component {
            auth_secret_store: Some("vault".into()),
            metadata: vec![
                MetadataItem { name: "pw".into(), value: MetadataValue::SecretRef { name: "redis".into(), key: "pw".into() } },
                MetadataItem { name: "x".into(), value: MetadataValue::Literal("a{namespace}".into()) },
            ],
            ..Component::default()
        };
        assert_eq!(secret_refs(&component), [SecretUse { item: "pw", store: Some("vault"), name: "redis", key: "pw" }]);
        assert!(uses_namespace(&component));
    }
}
