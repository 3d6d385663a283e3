//! The way from the thread of the file system events to the task that waits: a flag and a few names.
//!
//! Bounded: events collapse into one wake-up, and names beyond the 64th are forgotten.

use super::parent;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

const MOST_NAMES: usize = 64;

#[derive(Default)]
pub(super) struct Hints {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    touched: BTreeSet<PathBuf>,
}

impl Hints {
    /// What events are of interest.
    pub fn set_interest(&self, folders: &BTreeSet<PathBuf>, files: &BTreeSet<PathBuf>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.folders.clone_from(folders);
        state.files.clone_from(files);
    }

    /// Takes an event from the watching thread.
    pub fn event(&self, event: &Result<Event, notify::Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // events were lost or a watch broke: look at everything
            Err(_) => {}
            Ok(event) if event.need_rescan() => {}
            Ok(event) if is_reading(event.kind) => return,
            Ok(event) => {
                let relevant: Vec<_> = event.paths.iter().filter(|path| state.cares_for(path)).cloned().collect();
                if relevant.is_empty() {
                    return;
                }
                let room = MOST_NAMES.saturating_sub(state.touched.len());
                state.touched.extend(relevant.into_iter().take(room));
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for an event; one that came before is not forgotten.
    pub async fn arrived(&self) {
        self.wake.notified().await;
    }

    /// The names gathered since the last call.
    pub fn take(&self) -> Vec<PathBuf> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.touched).into_iter().collect()
    }
}

impl State {
    fn cares_for(&self, path: &Path) -> bool {
        if self.folders.contains(path) || self.folders.contains(parent(path)) || self.files.contains(path) {
            return true;
        }
        // mounts of Kubernetes swap the link `..data` under which all files of the folder really are
        let swapped = path.file_name().is_some_and(|name| name == "..data");
        swapped && self.files.iter().any(|file| parent(file) == parent(path))
    }
}

/// Opening and reading is what loading does; it must not lead to another tick.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
