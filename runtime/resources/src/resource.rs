//! What all resource kinds share: their kind, where they were read, and the head of the document.

use crate::fields::{FieldError, Fields, Note};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The kinds of documents that are read, and module files, which change like resources do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// A building block's implementation.
    Component,
    /// A declarative subscription (v1alpha1 or v2alpha1).
    Subscription,
    /// An external HTTP service.
    #[serde(rename = "HTTPEndpoint")]
    HttpEndpoint,
    /// Policies for retries, timeouts and circuit breakers.
    Resiliency,
    /// An MCP server connection.
    #[serde(rename = "MCPServer")]
    McpServer,
    /// Who may start which workflow.
    WorkflowAccessPolicy,
    /// The sidecar's own configuration; read by `load_configuration`, never from a resources folder.
    Configuration,
    /// A `.wasm` file in a resources folder.
    Module,
}

impl Kind {
    /// The kinds that documents may name.
    pub const DOCUMENTS: [Kind; 7] =
        [Kind::Component, Kind::Subscription, Kind::HttpEndpoint, Kind::Resiliency, Kind::McpServer, Kind::WorkflowAccessPolicy, Kind::Configuration];

    /// The kind's name in YAML and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Component => "Component",
            Kind::Subscription => "Subscription",
            Kind::HttpEndpoint => "HTTPEndpoint",
            Kind::Resiliency => "Resiliency",
            Kind::McpServer => "MCPServer",
            Kind::WorkflowAccessPolicy => "WorkflowAccessPolicy",
            Kind::Configuration => "Configuration",
            Kind::Module => "Module",
        }
    }

    /// The document kind of that exact name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::DOCUMENTS.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The API versions that are read for this kind, the current one first.
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Kind::Subscription => &["dapr.io/v2alpha1", "dapr.io/v1alpha1"],
            Kind::Module => &[],
            _ => &["dapr.io/v1alpha1"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a resource was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The file, under the folder's path as it was given.
    pub file: PathBuf,
    /// Which document of the file, counted from 1.
    pub document: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (document {})", self.file.display(), self.document)
    }
}

/// The common face of all resources.
pub trait Resource {
    /// Which kind this is.
    fn kind(&self) -> Kind;
    /// `metadata.name`.
    fn name(&self) -> &str;
    /// `metadata.namespace`, when given and not empty.
    fn namespace(&self) -> Option<&str>;
    /// The app ids that may see it; empty means all.
    fn scopes(&self) -> &[String];
    /// Where it was read.
    fn origin(&self) -> &Origin;
    /// For moving a resource to another place; used to compare contents.
    fn set_origin(&mut self, origin: Origin);
    /// The name as log lines show it.
    fn log_name(&self) -> String {
        self.name().to_owned()
    }
}

/// Implements `Resource` for a struct with the usual fields.
macro_rules! resource {
    ($type:ty, $kind:expr $(, $log_name:item)?) => {
        impl $crate::resource::Resource for $type {
            fn kind(&self) -> $crate::resource::Kind {
                let kind: fn(&Self) -> $crate::resource::Kind = $kind;
                kind(self)
            }
            fn name(&self) -> &str {
                &self.name
            }
            fn namespace(&self) -> Option<&str> {
                self.namespace.as_deref()
            }
            fn scopes(&self) -> &[String] {
                &self.scopes
            }
            fn origin(&self) -> &$crate::resource::Origin {
                &self.origin
            }
            fn set_origin(&mut self, origin: $crate::resource::Origin) {
                self.origin = origin;
            }
            $($log_name)?
        }
    };
}
pub(crate) use resource;

/// `metadata` of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub name: String,
    pub namespace: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

impl Head {
    /// Reads `metadata` and marks the document's own type fields as known.
    pub fn read(document: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        document.ignore(&["apiVersion", "kind", "status"]);
        let mut metadata = document.child("metadata")?;
        // what else Kubernetes keeps there is nobody's business here
        metadata.ignore(&[
            "labels",
            "generateName",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "ownerReferences",
            "finalizers",
            "managedFields",
            "selfLink",
        ]);
        let head = Head {
            name: metadata.text("name")?,
            namespace: metadata.text_option("namespace")?.filter(|namespace| !namespace.is_empty()),
            annotations: metadata.text_map("annotations")?,
        };
        metadata.finish(notes);
        Ok(head)
    }
}

/// Why `name` cannot be a resource's name; Kubernetes' rule for names that become a path segment.
pub(crate) fn invalid_name(kind: Kind, name: &str) -> Option<String> {
    let problems: Vec<String> = match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => ["/", "%"].iter().filter(|bad| name.contains(**bad)).map(|bad| format!("may not contain '{bad}'")).collect(),
    };
    (!problems.is_empty()).then(|| format!("invalid name {name:?} for {:?}: {}", kind.as_str(), problems.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_fit_into_a_path_segment() {
        assert_eq!(invalid_name(Kind::Component, "statestore"), None);
        assert_eq!(
            invalid_name(Kind::Component, "a/b%").as_deref(),
            Some("invalid name \"a/b%\" for \"Component\": may not contain '/'; may not contain '%'")
        );
        assert_eq!(invalid_name(Kind::Resiliency, "..").as_deref(), Some("invalid name \"..\" for \"Resiliency\": may not be '..'"));
    }
}
