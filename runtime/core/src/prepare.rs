//! A component resource made ready to start: every value resolved, what the runtime itself reads taken out.

use crate::encryption::{Key, Keys};
use crate::outbox;
use crate::runtime::Runtime;
use crate::scopes::TopicScopes;
use proa_host::manifest::Kind;
use proa_model::lookup;
use proa_resources::component::{Component, MetadataValue};
use proa_resources::values::{TemplateContext, env_allowed, expand_templates, resolve_env, uses_namespace};
use proa_resources::{go_json, is_truthy};
use std::collections::HashMap;

/// How a store's keys are prefixed.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPrefix {
    None,
    /// `<prefix>||`.
    Text(String),
}

/// See the module's text.
pub struct Prepared {
    pub component: Component,
    pub properties: Vec<(String, String)>,
    pub key_prefix: KeyPrefix,
    pub encryption: Option<Keys>,
    pub topics: TopicScopes,
    /// Topics carry the namespace.
    pub namespaced: bool,
    pub actor_state_store: bool,
    /// Of a state store.
    pub outbox: Option<outbox::Config>,
}

impl Prepared {
    pub fn get(&self, name: &str) -> Option<&str> {
        lookup(&self.properties, name).filter(|v| !v.is_empty())
    }
}

/// Resolves a resource. The text of the error names the field.
pub async fn prepare(runtime: &Runtime, component: &Component) -> Result<Prepared, String> {
    let kind = Kind::of_type(&component.type_);
    let mut properties = resolve(runtime, component).await?;
    if kind == Some(Kind::Pubsub) && lookup(&properties, "consumerID").is_none_or(str::is_empty) {
        properties.retain(|(n, _)| !n.eq_ignore_ascii_case("consumerID"));
        properties.push(("consumerID".into(), runtime.options().app_id.clone()));
    }
    let key_prefix = key_prefix(runtime, component, &properties)?;
    let encryption = encryption(component, &properties)?;
    let topics = TopicScopes::of(&properties, &runtime.options().app_id);
    let actor_state_store = lookup(&properties, "actorStateStore").is_some_and(is_truthy);
    let outbox = outbox::Config::of(&properties).filter(|_| kind == Some(Kind::State));
    Ok(Prepared {
        outbox,
        namespaced: uses_namespace(component),
        component: component.clone(),
        properties,
        key_prefix,
        encryption,
        topics,
        actor_state_store,
    })
}

async fn resolve(runtime: &Runtime, component: &Component) -> Result<Vec<(String, String)>, String> {
    let options = runtime.options();
    let uuid = || uuid::Uuid::new_v4().to_string();
    let env = |name: &str| runtime.environment(name);
    let mut secrets = HashMap::new();
    let mut properties = Vec::new();
    for item in &component.metadata {
        let value = match &item.value {
            MetadataValue::Literal(text) => text.clone(),
            MetadataValue::EnvRef(variable) => {
                if !env_allowed(variable, &env) {
                    tracing::warn!(target: "dapr.runtime", "Ignoring secret ref to forbidden environmental variable {variable} in component {}", component.name);
                }
                resolve_env(item, &env).unwrap_or_default()
            }
            MetadataValue::SecretRef { name, key } => {
                let store = component.auth_secret_store.as_deref().unwrap_or_default();
                let text = secret(runtime, store, name, key, &mut secrets).await.map_err(|e| format!("metadata {}: {e}", item.name))?;
                go_json::unquoted(&text).to_string()
            }
        };
        let context = TemplateContext {
            app_id: &options.app_id,
            namespace: &options.namespace,
            pod_name: Some(options.pod_name.as_str()).filter(|p| !p.is_empty()),
            uuid: &uuid,
        };
        let value = expand_templates(&item.name, &value, &context).map_err(|e| format!("metadata {}: {e}", item.name))?;
        properties.push((item.name.clone(), value));
    }
    Ok(properties)
}

/// One value of a resource that is no component.
pub(crate) async fn value(runtime: &Runtime, store: &str, value: &MetadataValue) -> Result<String, String> {
    match value {
        MetadataValue::Literal(text) => Ok(text.clone()),
        MetadataValue::EnvRef(variable) => {
            let env = |name: &str| runtime.environment(name);
            Ok(if env_allowed(variable, &env) { env(variable).unwrap_or_default() } else { String::new() })
        }
        MetadataValue::SecretRef { name, key } => {
            let text = secret(runtime, store, name, key, &mut HashMap::new()).await?;
            Ok(go_json::unquoted(&text).to_string())
        }
    }
}

type Fetched = HashMap<String, Vec<(String, String)>>;

/// A secret of a store that is loaded already; each is asked for once.
async fn secret(runtime: &Runtime, store: &str, name: &str, key: &str, fetched: &mut Fetched) -> Result<String, String> {
    if store.is_empty() {
        // Without a store Dapr leaves the value empty: the operator has put it in place already.
        return Ok(String::new());
    }
    if !fetched.contains_key(name) {
        let metadata = vec![("namespace".to_owned(), runtime.options().namespace.clone())];
        let secret = crate::services::secrets::fetch(runtime, store, name, metadata).await?;
        fetched.insert(name.to_owned(), secret);
    }
    let secret = fetched.get(name).ok_or("unreachable")?;
    Ok(secret.iter().find(|(n, _)| n == key).map(|(_, v)| v.clone()).unwrap_or_default())
}

fn key_prefix(runtime: &Runtime, component: &Component, properties: &[(String, String)]) -> Result<KeyPrefix, String> {
    let options = runtime.options();
    let strategy = lookup(properties, "keyPrefix").unwrap_or("appid");
    if strategy.contains("||") {
        return Err(format!("metadata keyPrefix: input key/keyPrefix '{strategy}' can't contain '||'"));
    }
    Ok(match strategy.to_lowercase().as_str() {
        "none" => KeyPrefix::None,
        "name" => KeyPrefix::Text(component.name.clone()),
        "" | "appid" => KeyPrefix::Text(options.app_id.clone()),
        "namespace" if options.namespace_set => KeyPrefix::Text(format!("{}.{}", options.namespace, options.app_id)),
        "namespace" => KeyPrefix::Text(options.app_id.clone()),
        // As in Dapr, a literal prefix is taken in lower case.
        literal => KeyPrefix::Text(literal.to_owned()),
    })
}

fn encryption(component: &Component, properties: &[(String, String)]) -> Result<Option<Keys>, String> {
    let key = |field: &str| -> Result<Option<Key>, String> {
        let Some(MetadataValue::SecretRef { name, .. }) = component.item(field).map(|i| &i.value) else { return Ok(None) };
        let Some(text) = lookup(properties, field).filter(|t| !t.is_empty()) else { return Ok(None) };
        Key::new(name, text).map(Some).map_err(|e| format!("metadata {field}: {e}"))
    };
    let (primary, secondary) = (key("primaryEncryptionKey")?, key("secondaryEncryptionKey")?);
    Ok(match (primary, secondary) {
        (Some(primary), secondary) => Some(Keys { primary, secondary }),
        (None, Some(primary)) => Some(Keys { primary, secondary: None }),
        (None, None) => None,
    })
}
