//! The Component resource: which implementation, under which name, with which metadata.
//!
//! Values stay as written: secrets, environment variables and templates are resolved later (`values`).

use crate::fields::{FieldError, Fields, Note};
use crate::resource::{Head, Kind, Origin, resource};
use crate::{go_duration, go_json};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One Component document.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Component {
    /// `metadata.name`; unique among the components of a sidecar.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `spec.type`, for example `state.redis`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `spec.version`; `v1` when the document gives none.
    pub version: String,
    /// Whether the document gives a version. Log lines and the metadata API show only a given one.
    pub version_given: bool,
    /// `spec.ignoreErrors`: a failed init does not stop the sidecar.
    pub ignore_errors: bool,
    /// `spec.initTimeout`; none when absent, malformed or not positive: then 5 s apply.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub init_timeout: Option<Duration>,
    /// `spec.metadata` in the document's order; names may repeat, the last one counts.
    pub metadata: Vec<MetadataItem>,
    /// `auth.secretStore`: the store that `secretKeyRef` entries refer to.
    pub auth_secret_store: Option<String>,
    /// `scopes`: the app ids that may see it; empty means all.
    pub scopes: Vec<String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Where it was read.
    pub origin: Origin,
}

/// A named value of a component's metadata, an endpoint's headers, and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetadataItem {
    /// The name as written; components compare names ignoring case.
    pub name: String,
    /// The value or where to find it.
    pub value: MetadataValue,
}

/// A value or where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MetadataValue {
    /// The text itself; anything but a string is in its JSON form. Empty when nothing was given.
    Literal(String),
    /// A key of a secret in the component's secret store.
    SecretRef {
        /// The secret's name.
        name: String,
        /// The key within it; the name again when the document gives none.
        key: String,
    },
    /// The name of an environment variable of the sidecar.
    EnvRef(String),
}

resource!(
    Component,
    |_| Kind::Component,
    fn log_name(&self) -> String {
        if self.version_given { format!("{} ({}/{})", self.name, self.type_, self.version) } else { format!("{} ({})", self.name, self.type_) }
    }
);

impl Component {
    /// The last literal or reference under `name`, ignoring case.
    pub fn item(&self, name: &str) -> Option<&MetadataItem> {
        self.metadata.iter().rev().find(|item| item.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn read(document: &mut Fields<'_>, origin: Origin, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let head = Head::read(document, notes)?;
        let mut spec = document.child("spec")?;
        let version = spec.text("version")?;
        let component = Component {
            name: head.name,
            namespace: head.namespace,
            annotations: head.annotations,
            type_: spec.text("type")?,
            version_given: !version.is_empty(),
            version: if version.is_empty() { "v1".to_owned() } else { version },
            ignore_errors: spec.flag("ignoreErrors")?,
            init_timeout: init_timeout(&mut spec, notes)?,
            metadata: read_items(&mut spec, "metadata", notes)?,
            auth_secret_store: read_secret_store(document, notes)?,
            scopes: document.texts("scopes")?,
            origin,
        };
        spec.finish(notes);
        Ok(component)
    }
}

/// A malformed timeout is Dapr's default, not an error; it is worth a remark.
fn init_timeout(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Option<Duration>, FieldError> {
    let text = spec.text("initTimeout")?;
    if text.is_empty() {
        return Ok(None);
    }
    match go_duration::parse_nanos(&text) {
        Ok(nanos) if nanos > 0 => Ok(Some(Duration::from_nanos(nanos.unsigned_abs()))),
        _ => {
            let text = format!("{text:?} is not a positive duration; the default of 5s applies");
            notes.push(Note { field: spec.path_of("initTimeout"), text });
            Ok(None)
        }
    }
}

/// `auth.secretStore` of a document.
pub(crate) fn read_secret_store(document: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Option<String>, FieldError> {
    let mut auth = document.child("auth")?;
    let store = auth.text_option("secretStore")?.filter(|store| !store.is_empty());
    auth.finish(notes);
    Ok(store)
}

/// A list of name/value pairs.
pub(crate) fn read_items(parent: &mut Fields<'_>, name: &'static str, notes: &mut Vec<Note>) -> Result<Vec<MetadataItem>, FieldError> {
    let mut items = Vec::new();
    for (value, path) in parent.items(name)? {
        let mut item = Fields::of(Some(value), &path)?;
        items.push(MetadataItem { name: item.text("name")?, value: read_value(&mut item, notes)? });
        item.finish(notes);
    }
    Ok(items)
}

/// `value`, `secretKeyRef` or `envRef` of a pair. A secret goes before a value; a variable is only a substitute for one.
pub(crate) fn read_value(item: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<MetadataValue, FieldError> {
    let literal = item.raw("value");
    let variable = item.text("envRef")?;
    let mut secret = item.child("secretKeyRef")?;
    let (name, key) = (secret.text("name")?, secret.text("key")?);
    secret.finish(notes);
    Ok(match (literal, variable.is_empty(), name.is_empty()) {
        (None, false, _) => MetadataValue::EnvRef(variable),
        (_, _, false) => MetadataValue::SecretRef { key: if key.is_empty() { name.clone() } else { key }, name },
        (Some(Value::String(text)), ..) => MetadataValue::Literal(text.clone()),
        (Some(value), ..) => MetadataValue::Literal(go_json::encode(value)),
        (None, ..) => MetadataValue::Literal(String::new()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::{Resource, yaml};

    fn read(text: &str) -> (Component, Vec<Note>) {
        let value = yaml::parse(text).unwrap();
        let mut notes = Vec::new();
        let mut fields = Fields::of(Some(&value), "").unwrap();
        let component = Component::read(&mut fields, Origin::default(), &mut notes).unwrap();
        fields.finish(&mut notes);
        (component, notes)
    }

    #[test]
    fn reads_everything_a_component_has() {
        let (component, notes) = read(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\n  namespace: prod\n  annotations: {proa.dev/module: x.wasm}\n\
             spec:\n  type: state.redis\n  version: v2\n  ignoreErrors: true\n  initTimeout: 1m\n  metadata:\n  - {name: host, value: 'localhost:6379'}\n  \
             - {name: db, value: 3}\n  - {name: tls, value: yes}\n  - {name: opts, value: {b: 1, a: <x>}}\n  - {name: pw, secretKeyRef: {name: redis, key: pw}}\n  \
             - {name: pw2, secretKeyRef: {name: redis}}\n  - {name: env, envRef: REDIS_USER}\n  - {name: none}\nauth: {secretStore: vault}\nscopes: [a, b]\n",
        );
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(component.log_name(), "store (state.redis/v2)");
        assert_eq!(component.init_timeout, Some(Duration::from_secs(60)));
        assert_eq!(component.auth_secret_store.as_deref(), Some("vault"));
        assert_eq!(component.scopes, ["a", "b"]);
        let value = |name: &str| component.item(name).unwrap().value.clone();
        assert_eq!(value("HOST"), MetadataValue::Literal("localhost:6379".into()));
        assert_eq!(value("db"), MetadataValue::Literal("3".into()));
        assert_eq!(value("tls"), MetadataValue::Literal("true".into()));
        assert_eq!(value("opts"), MetadataValue::Literal("{\"a\":\"\\u003cx\\u003e\",\"b\":1}".into()));
        assert_eq!(value("pw"), MetadataValue::SecretRef { name: "redis".into(), key: "pw".into() });
        assert_eq!(value("pw2"), MetadataValue::SecretRef { name: "redis".into(), key: "redis".into() });
        assert_eq!(value("env"), MetadataValue::EnvRef("REDIS_USER".into()));
        assert_eq!(value("none"), MetadataValue::Literal(String::new()));
    }

    #[test]
    fn absent_version_means_v1_and_is_not_shown() {
        let (component, notes) = read("metadata: {name: a}\nspec: {type: lock.redis, initTimeout: '2', metdata: []}\n");
        assert_eq!((component.version.as_str(), component.log_name().as_str()), ("v1", "a (lock.redis)"));
        assert_eq!(component.init_timeout, None);
        assert_eq!(notes.len(), 2);
        assert!(notes[1].text.contains("\"metadata\""), "{notes:?}");
    }
}
