//! What a module says of itself: the custom section `proa:manifest`, a JSON object.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of the custom section.
pub const SECTION: &str = "proa:manifest";

/// The building block that a module serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    State,
    Pubsub,
    Bindings,
    SecretStores,
    Configuration,
    Lock,
    Crypto,
    Conversation,
    NameResolution,
    Middleware,
}

impl Kind {
    /// The kind that a `spec.type` belongs to, from its prefix.
    pub fn of_type(component_type: &str) -> Option<Self> {
        Some(match component_type.split('.').next()? {
            "state" => Self::State,
            "pubsub" => Self::Pubsub,
            "bindings" => Self::Bindings,
            "secretstores" => Self::SecretStores,
            "configuration" => Self::Configuration,
            "lock" => Self::Lock,
            "crypto" => Self::Crypto,
            "conversation" => Self::Conversation,
            "nameresolution" => Self::NameResolution,
            "middleware" => Self::Middleware,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Pubsub => "pubsub",
            Self::Bindings => "bindings",
            Self::SecretStores => "secretstores",
            Self::Configuration => "configuration",
            Self::Lock => "lock",
            Self::Crypto => "crypto",
            Self::Conversation => "conversation",
            Self::NameResolution => "nameresolution",
            Self::Middleware => "middleware",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One `spec.type` that a module implements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentType {
    #[serde(rename = "type")]
    pub name: String,
    pub versions: Vec<String>,
    /// Other spellings of the type.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What a configured value opens up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantKind {
    /// `host:port`, several separated by commas.
    Tcp,
    /// An `http` or `https` URL.
    Url,
    /// One file to read, or the text itself where it begins with `-----BEGIN`.
    File,
    /// A folder to read and write.
    Dir,
    /// An SQLite database: a path or a connection string.
    Sqlite,
    /// The backend itself names further addresses (sentinels, brokers of a cluster): when set and not `false`, TCP to any address.
    Discovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    String,
    Bool,
    Number,
    Duration,
}

/// One field of `spec.metadata`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(rename = "type", default = "string")]
    pub value_type: ValueType,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: Option<serde_json::Value>,
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub allowed: Vec<String>,
    #[serde(default)]
    pub grant: Option<GrantKind>,
    #[serde(default)]
    pub default_port: Option<u16>,
}

fn string() -> ValueType {
    ValueType::String
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// One instance serves many calls, interleaved.
    #[default]
    Async,
    /// A call holds its instance to the end; a pool of instances serves calls side by side.
    Sync,
}

/// Grants that do not follow from a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaticGrant {
    /// The environment of the sidecar, less its own tokens.
    Environment,
    /// Looking up any name, without connecting anywhere.
    Lookup,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    pub schema_version: u32,
    pub kind: Kind,
    pub types: Vec<ComponentType>,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub license: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub build_id: String,
    /// The world that the module is of, where it is none of Proa's: `wasi:http/middleware`.
    #[serde(default)]
    pub world: Option<String>,
    /// What the metadata API shows besides what the exports themselves tell.
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub abi: Abi,
    /// The size of the pool of a synchronous module.
    #[serde(default)]
    pub instances: Option<u32>,
    /// The backend admits one holder only: a swap stops the old generation before it starts the new one.
    #[serde(default)]
    pub exclusive: bool,
    #[serde(default)]
    pub grants: Vec<StaticGrant>,
    #[serde(default)]
    pub metadata: Vec<Field>,
}

impl Manifest {
    /// The manifest in a section's bytes; the error names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| format!("manifest: {e}"))?;
        if manifest.schema_version != 1 {
            return Err(format!("manifest: schemaVersion {} is not known, 1 is", manifest.schema_version));
        }
        Ok(manifest)
    }

    /// Whether the module implements this type in this version.
    pub fn implements(&self, component_type: &str, version: &str) -> bool {
        self.types.iter().any(|t| t.is(component_type) && t.versions.iter().any(|v| v == version))
    }

    /// The field of this name, without regard to case, aliases included.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.metadata.iter().find(|f| f.name.eq_ignore_ascii_case(name) || f.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
    }
}

impl ComponentType {
    pub fn is(&self, component_type: &str) -> bool {
        self.name == component_type || self.aliases.iter().any(|a| a == component_type)
    }
}

/// Checks metadata against the schema. Malformed and missing values are errors; a field that the schema does not know is a warning,
/// or an error when `strict`. Texts name the field and the nearest known name.
pub fn check(manifest: &Manifest, properties: &[(String, String)], strict: bool) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    // A module without a schema takes what comes.
    if manifest.world.is_some() && manifest.metadata.is_empty() {
        return Ok(warnings);
    }
    for (name, value) in properties {
        let Some(field) = manifest.field(name) else {
            if COMMON.iter().any(|c| c.eq_ignore_ascii_case(name)) {
                continue;
            }
            let text = unknown(manifest, name);
            if strict {
                return Err(text);
            }
            warnings.push(text);
            continue;
        };
        check_value(field, value)?;
    }
    for field in manifest.metadata.iter().filter(|f| f.required) {
        if !properties.iter().any(|(n, v)| !v.is_empty() && manifest.field(n).is_some_and(|f| f.name == field.name)) {
            return Err(format!("metadata {}: is required", field.name));
        }
    }
    Ok(warnings)
}

/// Fields that the sidecar itself understands on any component.
const COMMON: [&str; 16] = [
    "keyPrefix",
    "actorStateStore",
    "primaryEncryptionKey",
    "secondaryEncryptionKey",
    "outboxPublishPubsub",
    "outboxPublishTopic",
    "outboxPubsub",
    "outboxDiscardWhenMissingState",
    "direction",
    "route",
    "consumerID",
    "initTimeout",
    "responseCacheTTL",
    "queryIndexes",
    "concurrency",
    "cacheTTL",
];

fn unknown(manifest: &Manifest, name: &str) -> String {
    let near = manifest.metadata.iter().map(|f| (strsim::levenshtein(&f.name.to_lowercase(), &name.to_lowercase()), &f.name)).min();
    match near.filter(|(d, _)| *d <= 4) {
        Some((_, near)) => format!("metadata {name}: no such field; the nearest is {near}"),
        None => format!("metadata {name}: no such field"),
    }
}

fn check_value(field: &Field, value: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("metadata {}: {value:?} is not {what}", field.name));
    if value.is_empty() {
        return Ok(());
    }
    let text = value.trim();
    match field.value_type {
        ValueType::Number if text.parse::<f64>().is_err() => return wrong("a number"),
        // Dapr takes a bare number for a duration of its field's own unit.
        ValueType::Duration if text.parse::<f64>().is_err() && !is_duration(text) => return wrong("a duration such as 500ms or 1m30s"),
        _ => {}
    }
    if !field.allowed.is_empty() && !field.allowed.iter().any(|a| a.eq_ignore_ascii_case(text)) {
        return wrong(&format!("one of {}", field.allowed.join(", ")));
    }
    Ok(())
}

fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let Some(unit) = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .iter()
            .find(|u| tail.strip_prefix(**u).is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit() || c == '.')))
        else {
            return false;
        };
        if digits.parse::<f64>().is_err() {
            return false;
        }
        rest = tail.get(unit.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let field = |name: &str, value_type, required| Field {
            name: name.into(),
            aliases: vec![],
            value_type,
            required,
            default: None,
            secret: false,
            description: String::new(),
            allowed: vec![],
            grant: None,
            default_port: None,
        };
        Manifest {
            schema_version: 1,
            kind: Kind::State,
            types: vec![],
            title: String::new(),
            description: String::new(),
            license: String::new(),
            source: String::new(),
            build_id: String::new(),
            world: None,
            capabilities: vec![],
            abi: Abi::Async,
            instances: None,
            exclusive: false,
            grants: vec![],
            metadata: vec![field("redisHost", ValueType::String, true), field("dialTimeout", ValueType::Duration, false)],
        }
    }

    #[test]
    fn names_the_field_and_the_nearest() {
        let p = |n: &str, v: &str| vec![("redisHost".to_owned(), "x:1".to_owned()), (n.to_owned(), v.to_owned())];
        assert_eq!(check(&manifest(), &[], false), Err("metadata redisHost: is required".into()));
        assert_eq!(check(&manifest(), &p("redisHosst", "x"), true), Err("metadata redisHosst: no such field; the nearest is redisHost".into()));
        assert_eq!(check(&manifest(), &p("redisHosst", "x"), false).map(|w| w.len()), Ok(1));
        assert!(check(&manifest(), &p("dialtimeout", "1m30s"), true).is_ok());
        assert!(check(&manifest(), &p("dialTimeout", "soon"), false).is_err());
        assert!(check(&manifest(), &p("keyPrefix", "none"), true).is_ok());
    }
}
