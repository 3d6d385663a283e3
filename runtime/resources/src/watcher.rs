//! Says that something changed in a set of folders and single files; what changed is found by loading and comparing.
//!
//! Every change is reported within about a second: events of the file system are gathered until 150 ms of quiet (1 s at
//! most). What gives no events (folders that vanish and come back, targets of links, network mounts, exhausted watches)
//! is found by a look at names, sizes and times every 2 s. A tick without a change is possible, a change without
//! a tick is not, unless it leaves name, size, time and inode as they were and gives no event.

mod hints;
mod places;

use crate::Error;
use hints::Hints;
use places::{Places, Seen};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long it must be quiet before a tick.
const QUIET: Duration = Duration::from_millis(150);
/// How long a tick may be put off while changes keep coming.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// How often places are looked at without any event.
const POLL: Duration = Duration::from_secs(2);

/// Something changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tick {
    /// Some of the places that events named (at most 64, sorted); empty when the change was found by looking.
    pub paths: Vec<PathBuf>,
    /// Whether it was found by looking.
    pub polled: bool,
}

/// Watches folders (flat) and single files. One background thread for events; it ends with the watcher.
pub struct Watcher {
    places: Places,
    hints: Arc<Hints>,
    seen: Seen,
    next_look: Instant,
    /// When the first event of the tick in the making came; kept here so that a dropped `changed` loses nothing.
    first_event: Option<Instant>,
}

impl Watcher {
    /// Starts watching. None of the paths needs to exist. Fails only when a relative path cannot be made absolute;
    /// where no events are to be had, places are looked at instead. Call it before loading, then nothing is missed.
    pub fn new(folders: &[PathBuf], extra_files: &[PathBuf]) -> Result<Self, Error> {
        let hints = Arc::new(Hints::default());
        let mut places = Places::new(absolute(folders)?, absolute(extra_files)?, &hints);
        places.attach();
        let seen = places.look();
        Ok(Self { places, hints, seen, next_look: Instant::now() + POLL, first_event: None })
    }

    /// Replaces the single files that are watched besides the folders (module files, secret files, configurations).
    pub fn set_extra_files(&mut self, files: &[PathBuf]) -> Result<(), Error> {
        self.places.set_files(absolute(files)?, &self.hints);
        self.places.attach();
        self.seen = self.places.look();
        Ok(())
    }

    /// Waits for the next change. Dropping the future loses no change; the next call reports it.
    pub async fn changed(&mut self) -> Tick {
        loop {
            if let Some(first) = self.first_event {
                self.wait_for_quiet(first + LONGEST_DELAY).await;
                self.first_event = None;
                // watches first, then the answer: what happens after this gives an event again
                self.places.attach();
                self.seen = self.places.look();
                self.next_look = Instant::now() + POLL;
                return Tick { paths: self.hints.take(), polled: false };
            }
            tokio::select! {
                () = self.hints.arrived() => self.first_event = Some(Instant::now()),
                () = tokio::time::sleep_until(self.next_look) => {
                    self.next_look = Instant::now() + POLL;
                    self.places.attach();
                    let now = self.places.look();
                    if now != self.seen {
                        self.seen = now;
                        return Tick { paths: Vec::new(), polled: true };
                    }
                }
            }
        }
    }

    async fn wait_for_quiet(&self, latest: Instant) {
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            tokio::select! {
                () = self.hints.arrived() => {}
                () = tokio::time::sleep_until(quiet) => return,
            }
            if Instant::now() >= latest {
                return;
            }
        }
    }
}

fn absolute(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
    let one = |path: &PathBuf| {
        let absolute = std::path::absolute(path).map_err(|source| Error::Watch { path: path.clone(), source })?;
        // without a trailing slash, so that paths in events compare equal
        Ok(absolute.components().collect::<PathBuf>())
    };
    paths.iter().map(one).collect()
}

/// The folder that holds `path`; the root holds itself.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
