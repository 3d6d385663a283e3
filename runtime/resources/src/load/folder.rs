//! One folder: its files in name order, their documents, and a typed resource or a complaint for each.

use super::{FileStamp, ModuleFile, Snapshot};
use crate::fields::{FieldError, Fields, Note};
use crate::issue::{IssueClass, LoadError, reason};
use crate::nearest::nearest;
use crate::resiliency::Refusal;
use crate::resource::{Kind, Origin, invalid_name};
use crate::{Component, HttpEndpoint, RawResource, Resiliency, Subscription, yaml};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::Path;

/// Reads the folder's files into `snapshot`. Sub-folders are not entered; a link to a file is a file.
pub(super) fn read(folder: &Path, snapshot: &mut Snapshot) {
    let names = match list(folder) {
        Ok(names) => names,
        Err(error) => {
            let problem = format!("open {}: {}", folder.display(), reason(&error));
            snapshot.unreadable.push(folder.to_owned());
            snapshot.errors.push(LoadError::new(IssueClass::Folder, whole(folder), problem));
            return;
        }
    };
    for name in names {
        let path = folder.join(&name);
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("yaml" | "yml") => read_file(&path, snapshot),
            Some("wasm") => stamp_module(&path, snapshot),
            _ => snapshot.errors.push(LoadError::new(IssueClass::ForeignFile, whole(&path), "")),
        }
    }
}

/// A place that is a whole file or folder.
fn whole(path: &Path) -> Origin {
    Origin { file: path.to_owned(), document: 0 }
}

fn list(folder: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // not following links: that is how the mounts of Kubernetes hide their real folders
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

fn stamp_module(path: &Path, snapshot: &mut Snapshot) {
    // a file that is gone again will be reported by the next tick
    if let Ok(metadata) = std::fs::metadata(path) {
        snapshot.modules.push(ModuleFile { path: path.to_owned(), size: metadata.len(), modified: metadata.modified().ok() });
    }
}

fn read_file(path: &Path, snapshot: &mut Snapshot) {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            let problem = format!("open {}: {}", path.display(), reason(&error));
            snapshot.errors.push(LoadError::new(IssueClass::File, whole(path), problem));
            return;
        }
    };
    snapshot.files.push(FileStamp { path: path.to_owned(), digest: Sha256::digest(&bytes).into() });
    let text = String::from_utf8_lossy(&bytes);
    for (index, document) in yaml::documents(&text).into_iter().enumerate() {
        read_document(document, Origin { file: path.to_owned(), document: index + 1 }, snapshot);
    }
}

fn read_document(text: &str, origin: Origin, snapshot: &mut Snapshot) {
    let value = match yaml::parse(text) {
        Ok(Value::Null) => return,
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => {
            snapshot.errors.push(LoadError::new(IssueClass::Document, origin, "a resource must be a mapping"));
            return;
        }
        Err(error) => {
            snapshot.errors.push(LoadError::new(IssueClass::Document, origin, error.to_string()));
            return;
        }
    };
    // Names of fields count without their case, as everywhere in a resource.
    let found = |field: &str| value.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value);
    let text = |field: &str| value.get(field).or_else(|| found(field)).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind_name) = (text("apiVersion"), text("kind"));
    let Some(kind) = known_kind(api_version, kind_name, &origin, snapshot) else {
        return;
    };
    let name = value.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or_default();
    let mut notes = Vec::new();
    let outcome = match invalid_name(kind, name) {
        Some(problem) => Err(Refusal::Field(FieldError { field: "metadata.name".to_owned(), problem })),
        None => read_kind(kind, api_version, &value, &origin, &mut notes, snapshot),
    };
    let (class, field, problem) = match outcome {
        Ok(()) => {
            report(notes, kind, name, &origin, snapshot);
            return;
        }
        Err(Refusal::Field(error)) => (IssueClass::Document, error.field, error.problem),
        Err(Refusal::Policy { field, problem, .. }) => (IssueClass::Policy, field, problem),
    };
    snapshot.errors.push(LoadError::new(class, origin, problem).about(kind, name, field));
}

fn report(notes: Vec<Note>, kind: Kind, name: &str, origin: &Origin, snapshot: &mut Snapshot) {
    for note in notes {
        snapshot.errors.push(LoadError::new(IssueClass::Field, origin.clone(), note.text).about(kind, name, note.field));
    }
}

/// The kind of a document, or nothing, with a remark when it looks like a slip.
fn known_kind(api_version: &str, name: &str, origin: &Origin, snapshot: &mut Snapshot) -> Option<Kind> {
    let Some(kind) = Kind::parse(name) else {
        let hint = nearest(name, Kind::DOCUMENTS.map(Kind::as_str));
        // foreign documents may lie here too; only what claims to be ours is worth a word
        if api_version.starts_with("dapr.io/") || hint.is_some() {
            let hint = hint.map(|known| format!("; the nearest known kind is {known:?}")).unwrap_or_default();
            let problem = format!("unknown kind {name:?} is ignored{hint}");
            snapshot.errors.push(LoadError::new(IssueClass::UnknownKind, origin.clone(), problem));
        }
        return None;
    };
    // of resiliency documents only the kind is looked at
    if kind != Kind::Resiliency && !kind.api_versions().contains(&api_version) {
        let known = kind.api_versions().join(" or ");
        let problem = format!("{kind} of apiVersion {api_version:?} is ignored; known is {known}");
        let issue = LoadError::new(IssueClass::UnknownKind, origin.clone(), problem);
        snapshot.errors.push(LoadError { kind: Some(kind), ..issue });
        return None;
    }
    Some(kind)
}

fn read_kind(kind: Kind, api_version: &str, value: &Value, origin: &Origin, notes: &mut Vec<Note>, snapshot: &mut Snapshot) -> Result<(), Refusal> {
    let mut document = Fields::of(Some(value), "")?;
    let fields = &mut document;
    let origin = origin.clone();
    match kind {
        Kind::Component => snapshot.components.push(Component::read(fields, origin, notes)?),
        Kind::Subscription => {
            let first_version = api_version.ends_with("/v1alpha1");
            snapshot.subscriptions.push(Subscription::read(fields, first_version, origin, notes)?);
        }
        Kind::HttpEndpoint => snapshot.http_endpoints.push(HttpEndpoint::read(fields, origin, notes)?),
        Kind::Resiliency => snapshot.resiliencies.push(Resiliency::read(fields, origin, notes)?),
        Kind::McpServer => snapshot.mcp_servers.push(RawResource::read(kind, fields, origin, notes)?),
        Kind::WorkflowAccessPolicy => {
            snapshot.workflow_access_policies.push(RawResource::read(kind, fields, origin, notes)?);
        }
        // the sidecar's configuration is named on the command line
        Kind::Configuration | Kind::Module => return Ok(()),
    }
    document.finish(notes);
    Ok(())
}
