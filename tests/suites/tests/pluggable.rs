//! Components of other processes: every kind over Dapr's protocol on a Unix socket, found by where the socket lies, called over both
//! transports; and what happens when the process goes, comes back, or comes late.

#[path = "pluggable/comings.rs"]
mod comings;
#[path = "pluggable/kinds.rs"]
mod kinds;
#[path = "pluggable/messages.rs"]
mod messages;

use std::sync::Arc;

use proa_harness::pluggable::{Backend, Process, folder};
use proa_harness::{Sidecar, SidecarBuilder};
use tempfile::TempDir;

/// A folder of sockets and what the components in it keep.
pub struct Place {
    pub folder: TempDir,
    pub backend: Arc<Backend>,
}

impl Default for Place {
    fn default() -> Self {
        Self { folder: folder(), backend: Arc::default() }
    }
}

impl Place {
    /// A process on `box.sock`.
    pub async fn process(&self) -> Process {
        Process::start(self.folder.path(), "box", &self.backend).await
    }

    /// A sidecar that looks here for sockets.
    pub fn sidecar(&self) -> SidecarBuilder {
        Sidecar::builder().env("DAPR_COMPONENTS_SOCKETS_FOLDER", &self.folder.path().display().to_string())
    }
}
