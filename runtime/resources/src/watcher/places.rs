//! The folders that must be watched for a set of folders and files, and what they look like at a moment.
//!
//! A folder is watched itself and through the folder that holds it, so that its going and coming back is seen. A watch
//! belongs to an inode, not to a path: when a path leads somewhere else than before, it is watched anew.

use super::hints::Hints;
use super::parent;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct Places {
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// None when the system has no more watches to give.
    source: Option<RecommendedWatcher>,
    attached: BTreeMap<PathBuf, Identity>,
}

/// What all places look like: per path its inode, size and time, or nothing.
pub(super) type Seen = BTreeMap<PathBuf, Option<(Identity, u64, Option<SystemTime>)>>;

/// Which file it is, whatever its name.
pub(super) type Identity = (u64, u64);

impl Places {
    pub fn new(folders: BTreeSet<PathBuf>, files: BTreeSet<PathBuf>, hints: &Arc<Hints>) -> Self {
        let receiver = Arc::clone(hints);
        let source = notify::recommended_watcher(move |event| receiver.event(&event))
            .inspect_err(|error| tracing::warn!("no file system events ({error}); looking at files every 2s instead"))
            .ok();
        hints.set_interest(&folders, &files);
        Self { folders, files, source, attached: BTreeMap::new() }
    }

    pub fn set_files(&mut self, files: BTreeSet<PathBuf>, hints: &Hints) {
        hints.set_interest(&self.folders, &files);
        self.files = files;
    }

    /// Makes the watches fit to what is there now. What cannot be watched is left to looking.
    pub fn attach(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        let parents = self.folders.iter().chain(&self.files).map(|path| parent(path).to_owned());
        let wanted: BTreeSet<PathBuf> = self.folders.iter().cloned().chain(parents).collect();
        let gone: Vec<PathBuf> = self.attached.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in gone {
            self.attached.remove(&path);
            // a watch on a folder that no longer exists is gone already
            let _ = source.unwatch(&path);
        }
        for path in wanted {
            let now = std::fs::metadata(&path).ok().map(|metadata| identity(&metadata));
            if self.attached.get(&path) == now.as_ref() {
                continue;
            }
            if self.attached.remove(&path).is_some() {
                let _ = source.unwatch(&path);
            }
            let Some(now) = now else {
                continue;
            };
            match source.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.attached.insert(path, now);
                }
                Err(error) => tracing::debug!("no events for {}: {error}", path.display()),
            }
        }
    }

    /// Looks at the folders' entries and the files. Links are followed: their targets count.
    pub fn look(&self) -> Seen {
        let mut seen = Seen::new();
        for folder in &self.folders {
            seen.insert(folder.clone(), std::fs::metadata(folder).ok().map(|metadata| (identity(&metadata), 0, None)));
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                seen.insert(entry.path(), stamp(&entry.path()));
            }
        }
        for file in &self.files {
            seen.insert(file.clone(), stamp(file));
        }
        seen
    }
}

fn stamp(path: &Path) -> Option<(Identity, u64, Option<SystemTime>)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((identity(&metadata), metadata.len(), metadata.modified().ok()))
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> Identity {
    let created = metadata.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    (0, created.map(|age| age.as_nanos() as u64).unwrap_or_default())
}
