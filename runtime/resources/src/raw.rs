//! Resources that are kept as they stand (MCPServer, WorkflowAccessPolicy): whoever needs them reads their `spec`.

use crate::fields::{FieldError, Fields, Note};
use crate::resource::{Head, Kind, Origin, resource};
use serde::Serialize;
use serde_json::Value;

/// A document of a kind that this crate does not interpret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RawResource {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// The app ids that may see it; empty means all.
    pub scopes: Vec<String>,
    /// The whole `spec` as JSON; `null` when absent.
    pub spec: Value,
    /// Where it was read.
    pub origin: Origin,
}

resource!(
    RawResource,
    |resource| resource.kind,
    fn log_name(&self) -> String {
        match ["streamableHTTP", "sse"].iter().find_map(|way| self.spec.get("endpoint")?.get(way)?.get("url")?.as_str()) {
            Some(url) if self.kind == Kind::McpServer => format!("{} ({url})", self.name),
            _ => self.name.clone(),
        }
    }
);

impl RawResource {
    pub(crate) fn read(kind: Kind, document: &mut Fields<'_>, origin: Origin, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let head = Head::read(document, notes)?;
        let spec = document.raw("spec").cloned().unwrap_or(Value::Null);
        Ok(RawResource { kind, name: head.name, namespace: head.namespace, scopes: document.texts("scopes")?, spec, origin })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::Resource;
    use serde_json::json;

    #[test]
    fn keeps_the_spec_and_names_the_address() {
        let value = json!({"metadata": {"name": "m"}, "spec": {"endpoint": {"sse": {"url": "http://x"}}}, "scopes": ["a"]});
        let mut fields = Fields::of(Some(&value), "").unwrap();
        let resource = RawResource::read(Kind::McpServer, &mut fields, Origin::default(), &mut Vec::new()).unwrap();
        assert_eq!(resource.log_name(), "m (http://x)");
        assert_eq!(resource.scopes, ["a"]);
        assert_eq!(resource.kind(), Kind::McpServer);
    }
}
