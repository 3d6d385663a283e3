//! Two sidecars that find each other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proa_harness::{AppEndpoint, Sidecar, SidecarBuilder};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    Alike,
    CallingThePeer,
    CalledByThePeer,
}

/// The other binary, if there is one to try.
pub fn peer() -> Option<PathBuf> {
    std::env::var_os("PROA_PEER").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The running sidecars; the callee's application has the id `callee`.
pub struct Two {
    pub caller: Sidecar,
    pub callee: Sidecar,
}

impl Two {
    pub fn callee(&self) -> &str {
        self.callee.app_id()
    }
}

/// An id that no other test on this machine has: all of them share one multicast group.
pub fn unique(role: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{role}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Pair {
    pub async fn start(self, app: &impl AppEndpoint) -> Two {
        self.start_with(app, |caller| caller, |callee| callee).await
    }

    pub async fn start_with(
        self,
        app: &impl AppEndpoint,
        caller: impl FnOnce(SidecarBuilder) -> SidecarBuilder,
        callee: impl FnOnce(SidecarBuilder) -> SidecarBuilder,
    ) -> Two {
        let (mut first, mut second) = (Sidecar::builder().app_id(&unique("caller")), Sidecar::builder().app_id(&unique("callee")).app(app));
        if let Some(peer) = peer() {
            match self {
                Self::Alike => {}
                Self::CallingThePeer => second = second.binary(peer),
                Self::CalledByThePeer => first = first.binary(peer),
            }
        }
        let (caller, callee) = tokio::join!(caller(first).start(), callee(second).start());
        Two { caller, callee }
    }
}
