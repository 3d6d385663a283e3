//! Which parts of the sidecar are ready. Each part is a named target; the sidecar is ready when all are.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the health endpoints tell.
#[derive(Clone, Debug)]
pub struct Health {
    pub ready: bool,
    pub unready: Vec<String>,
    pub outbound: bool,
}

/// The targets and whether each is ready.
#[derive(Debug, Default)]
pub struct Targets {
    targets: Mutex<BTreeMap<&'static str, bool>>,
}

impl Targets {
    pub fn set(&self, target: &'static str, ready: bool) {
        if let Ok(mut targets) = self.targets.lock() {
            targets.insert(target, ready);
        }
    }

    pub fn get(&self) -> Health {
        let Ok(targets) = self.targets.lock() else {
            return Health { ready: false, unready: vec!["health".into()], outbound: false };
        };
        let unready: Vec<String> = targets.iter().filter(|(_, ready)| !**ready).map(|(name, _)| (*name).to_owned()).collect();
        let outbound = targets.get("outbound").copied().unwrap_or(false);
        Health { ready: unready.is_empty() && outbound, unready, outbound }
    }
}
