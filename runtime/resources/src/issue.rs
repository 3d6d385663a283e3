//! What can be wrong with files on disk, told so that a person finds the place, and with the sentences that Dapr's
//! users and tools already look for.

use crate::resource::{Kind, Origin};
use std::fmt;
use std::path::PathBuf;

/// How much an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueClass {
    /// A resources folder cannot be listed: nothing is known about what it holds.
    Folder,
    /// A file cannot be read.
    File,
    /// A document is not YAML, or not of the shape of its kind.
    Document,
    /// A resilience policy that makes no sense.
    Policy,
    /// An unknown kind or API version; skipped silently by Dapr.
    UnknownKind,
    /// A field that is ignored; the resource itself is used.
    Field,
    /// A file that is neither YAML nor a module.
    ForeignFile,
}

impl IssueClass {
    /// Whether something that was probably meant to be used is missing from the snapshot.
    pub fn is_error(self) -> bool {
        matches!(self, IssueClass::Folder | IssueClass::File | IssueClass::Document | IssueClass::Policy)
    }
}

/// One entry of `Snapshot::errors`. `Display` is the whole sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// How much it weighs.
    pub class: IssueClass,
    /// The document's kind when that much could be read.
    pub kind: Option<Kind>,
    /// The resource's name when that much could be read.
    pub name: Option<String>,
    /// The file and document; for a folder its path and document 0.
    pub origin: Origin,
    /// The path of the field within the document, when one is to blame.
    pub field: Option<String>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // what cannot even be parsed is a complaint of the first loader, the components'
        let kind = self.kind.unwrap_or(Kind::Component);
        let file = self.origin.file.display();
        let problem = &self.problem;
        match self.class {
            IssueClass::Folder => f.write_str(problem),
            IssueClass::File => write!(f, "daprd load {kind} error when opening file {file}: {problem}"),
            IssueClass::Document => {
                write!(f, "daprd load {kind} error when parsing manifests yaml resource in {file}: ")?;
                self.write_place(f)?;
                f.write_str(problem)
            }
            IssueClass::Policy => {
                let name = self.name.as_deref().unwrap_or_default();
                write!(f, "Could not read resiliency policy {name}: {problem} ({file})")
            }
            IssueClass::UnknownKind | IssueClass::Field => {
                write!(f, "{file}: ")?;
                self.write_place(f)?;
                f.write_str(problem)
            }
            IssueClass::ForeignFile => {
                let name = self.origin.file.file_name().unwrap_or_default().to_string_lossy();
                write!(f, "A non-YAML {kind} file {name} was detected, it will not be loaded")
            }
        }
    }
}

impl LoadError {
    pub(crate) fn new(class: IssueClass, origin: Origin, problem: impl Into<String>) -> Self {
        Self { class, kind: None, name: None, origin, field: None, problem: problem.into() }
    }

    /// Which resource and field it is about.
    pub(crate) fn about(mut self, kind: Kind, name: &str, field: String) -> Self {
        (self.kind, self.name, self.field) = (Some(kind), Some(name.to_owned()), Some(field));
        self
    }

    fn write_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.origin.document)?;
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            write!(f, " ({name})")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", {field}")?;
        }
        f.write_str(": ")
    }
}

/// A second resource of one kind and name; the first one is kept. `Display` is Dapr's sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The kind.
    pub kind: Kind,
    /// The name that is taken.
    pub name: String,
    /// The second one as log lines show it.
    pub log_name: String,
    /// The first one as log lines show it.
    pub existing: String,
    /// Where the second one stands.
    pub origin: Origin,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "duplicate definition of {} name {} with existing {}", self.kind, self.log_name, self.existing)
    }
}

/// Why a configuration cannot be used, or a watch not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or not readable; worded as by Go.
    #[error("{operation} {}: {reason}", path.display())]
    Read {
        /// `stat`, `open` or `read`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file is not YAML or a field has the wrong shape.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file; empty when the merged result of several is to blame.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The fields are well formed but contradict each other.
    #[error("{0}")]
    Invalid(String),
    /// A path cannot be made absolute for watching.
    #[error("cannot watch {}: {source}", path.display())]
    Watch {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The system's words for an error as Go prints them: lower case, without the number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_daprs() {
        let mut issue = LoadError {
            class: IssueClass::Document,
            kind: Some(Kind::Component),
            name: Some("store".into()),
            origin: Origin { file: "/res/a.yaml".into(), document: 2 },
            field: Some("spec.metadata".into()),
            problem: "expected a list, found a mapping".into(),
        };
        assert_eq!(
            issue.to_string(),
            "daprd load Component error when parsing manifests yaml resource in /res/a.yaml: document 2 (store), spec.metadata: \
             expected a list, found a mapping"
        );
        issue.class = IssueClass::ForeignFile;
        assert_eq!(issue.to_string(), "A non-YAML Component file a.yaml was detected, it will not be loaded");
        assert_eq!(reason(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
