//! One reading of all resources folders: everything that can be used, and a list of everything that cannot.
//!
//! Folders are listed flat and in name order, files may hold several documents. Documents of other namespaces and for
//! other apps are left out; of two resources with one name the first is kept and the second reported.

mod admit;
mod folder;

use crate::issue::{Duplicate, LoadError};
use crate::resource::{Kind, Resource};
use crate::{Component, HttpEndpoint, RawResource, Resiliency, Subscription};
use std::path::PathBuf;
use std::time::SystemTime;

/// What to read and for whom.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The resources folders in order.
    pub paths: Vec<PathBuf>,
    /// The app id that `scopes` are compared with.
    pub app_id: String,
    /// The value of `NAMESPACE` when set and not empty; without it namespaces in documents do not matter.
    pub namespace: Option<String>,
}

/// The state of the folders at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Components, unique by name.
    pub components: Vec<Component>,
    /// Subscriptions; names may repeat.
    pub subscriptions: Vec<Subscription>,
    /// HTTPEndpoints, unique by name.
    pub http_endpoints: Vec<HttpEndpoint>,
    /// Resiliency documents; names may repeat, later ones override earlier ones policy by policy.
    pub resiliencies: Vec<Resiliency>,
    /// MCPServers, unique by name.
    pub mcp_servers: Vec<RawResource>,
    /// WorkflowAccessPolicies, unique by name.
    pub workflow_access_policies: Vec<RawResource>,
    /// The `.wasm` files in the folders.
    pub modules: Vec<ModuleFile>,
    /// The YAML files in the folders.
    pub files: Vec<FileStamp>,
    /// What could not be used, and remarks (see `IssueClass::is_error`).
    pub errors: Vec<LoadError>,
    /// Folders that could not be listed: absence of a resource means nothing while its folder is in here.
    pub unreadable: Vec<PathBuf>,
    /// Second definitions, in the order of reading.
    pub duplicates: Vec<Duplicate>,
}

/// A module file. Equality of size and time means "not worth reading again".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// The file, under the folder's path as it was given.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<SystemTime>,
}

/// A YAML file and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    /// The file, under the folder's path as it was given.
    pub path: PathBuf,
    /// SHA-256 of the content.
    pub digest: [u8; 32],
}

/// Reads everything. Blocking, no side effects.
pub fn load(options: &LoadOptions) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for path in &options.paths {
        folder::read(path, &mut snapshot);
    }
    admit::filter(&mut snapshot, options);
    snapshot
}

impl Snapshot {
    /// All duplicates of a kind as one message, one line each; none when there are none. For Dapr a reason not to start.
    pub fn duplicate_text(&self, kind: Kind) -> Option<String> {
        let lines: Vec<String> = self.duplicates.iter().filter(|one| one.kind == kind).map(ToString::to_string).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    /// Carries over from `last` what is missing here only because its folder, file or document cannot be read at the
    /// moment: a slip of the pen is no removal. To be called before comparing a snapshot with the running one.
    pub fn keep_last_good(&mut self, last: &Snapshot) {
        let broken: Vec<PathBuf> = self.errors.iter().filter(|issue| issue.class.is_error()).map(|issue| issue.origin.file.clone()).collect();
        if broken.is_empty() {
            return;
        }
        // a folder's own entry covers all that was read under it
        let doubtful = |file: &PathBuf| broken.contains(file) || file.parent().is_some_and(|folder| broken.iter().any(|path| path == folder));
        carry(&mut self.components, &last.components, &doubtful);
        carry(&mut self.subscriptions, &last.subscriptions, &doubtful);
        carry(&mut self.http_endpoints, &last.http_endpoints, &doubtful);
        carry(&mut self.resiliencies, &last.resiliencies, &doubtful);
        carry(&mut self.mcp_servers, &last.mcp_servers, &doubtful);
        carry(&mut self.workflow_access_policies, &last.workflow_access_policies, &doubtful);
        let unlisted = |path: &PathBuf| path.parent().is_some_and(|folder| self.unreadable.iter().any(|path| path == folder));
        self.modules.extend(last.modules.iter().filter(|module| unlisted(&module.path)).cloned());
        self.files.extend(last.files.iter().filter(|file| unlisted(&file.path)).cloned());
    }

    /// The entries that mean something is missing, without the remarks.
    pub fn failures(&self) -> impl Iterator<Item = &LoadError> {
        self.errors.iter().filter(|issue| issue.class.is_error())
    }
}

fn carry<T: Resource + Clone>(now: &mut Vec<T>, last: &[T], doubtful: &dyn Fn(&PathBuf) -> bool) {
    for resource in last {
        if doubtful(&resource.origin().file) && !now.iter().any(|known| known.name() == resource.name()) {
            now.push(resource.clone());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
