//! The folder of sockets and the types that they offer: `state.<name>` for a socket `<name>.sock` with a state store behind it.

use crate::bindings::{self, Binding, Ways};
use crate::component::{Component, Role};
use crate::discover::{self, COMPONENTS};
use crate::link::{Link, Plan};
use crate::pubsub::{self, PubSub};
use crate::secrets::{self, Secrets};
use crate::state::{self, State};
use futures::future::{BoxFuture, join_all};
use proa_host::generation::{Facts, Source};
use proa_host::manifest::Kind;
use proa_host::remote::{Remote, RemoteType, Remotes, Starter};
use proa_host::start::{CALL_TIMEOUT, StartSpec};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where Dapr looks when nothing is said.
const DEFAULT: &str = "/tmp/dapr-components-sockets";
/// The first and the longest pause before sockets that did not answer are asked again.
const AGAIN: (u64, u64) = (1, 32);
/// Sockets that are asked at a time.
const AT_A_TIME: usize = 32;

/// Which file it is, whatever its name: device, inode and the time of its last change, because inodes are used again.
type Inode = (u64, u64, i64, i64);

struct Socket {
    inode: Inode,
    services: Vec<String>,
}

/// See the module's text.
pub struct Sockets {
    folder: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Socket>>,
    /// How many looks in a row found sockets that did not answer.
    silent: AtomicU32,
    /// What was complained of already.
    told: Mutex<BTreeMap<PathBuf, Inode>>,
}

impl Sockets {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::default(), silent: AtomicU32::new(0), told: Mutex::default() }
    }

    /// The folder that `DAPR_COMPONENTS_SOCKETS_FOLDER` names, or Dapr's own.
    pub fn from_env() -> Self {
        let named = std::env::var_os("DAPR_COMPONENTS_SOCKETS_FOLDER").filter(|f| !f.is_empty());
        Self::new(named.map_or_else(|| DEFAULT.into(), PathBuf::from))
    }

    /// The sockets that lie in the folder. No folder is an empty folder.
    async fn listed(&self) -> BTreeMap<PathBuf, Inode> {
        let mut sockets = BTreeMap::new();
        let Ok(mut folder) = tokio::fs::read_dir(&self.folder).await else { return sockets };
        while let Ok(Some(entry)) = folder.next_entry().await {
            let path = entry.path();
            let Ok(about) = tokio::fs::metadata(&path).await else { continue };
            let inode = (about.dev(), about.ino(), about.ctime(), about.ctime_nsec());
            if about.file_type().is_socket() {
                sockets.insert(path, inode);
            } else if !about.is_dir() && self.first_time(&path, inode) {
                tracing::warn!(target: "pluggable-components-discovery", "could not use socket for file {}", path.display());
            }
        }
        sockets
    }

    fn first_time(&self, path: &Path, inode: Inode) -> bool {
        self.told.lock().is_ok_and(|mut told| told.insert(path.to_owned(), inode) != Some(inode))
    }

    async fn look(&self) -> bool {
        let listed = self.listed().await;
        let (asked, mut changed): (Vec<(PathBuf, Inode)>, bool) = match self.known.lock() {
            Ok(mut known) => {
                let before = known.len();
                known.retain(|path, _| listed.contains_key(path));
                let changed = known.len() != before;
                (listed.into_iter().filter(|(path, inode)| known.get(path).is_none_or(|s| s.inode != *inode)).collect(), changed)
            }
            Err(_) => return false,
        };
        let mut silent = false;
        for some in asked.chunks(AT_A_TIME) {
            let answers = join_all(some.iter().map(|(path, inode)| discover::services(path, !self.is_told(path, *inode)))).await;
            for ((path, inode), answer) in some.iter().zip(answers) {
                silent |= answer.is_err();
                changed |= answer.is_ok();
                self.learn(path, *inode, answer);
            }
        }
        let in_a_row = if silent && !changed { self.silent.load(Ordering::Relaxed).saturating_add(1) } else { u32::from(silent) };
        self.silent.store(in_a_row, Ordering::Relaxed);
        changed
    }

    /// Whether this very file was complained of before.
    fn is_told(&self, path: &Path, inode: Inode) -> bool {
        self.told.lock().is_ok_and(|told| told.get(path) == Some(&inode))
    }

    fn learn(&self, path: &Path, inode: Inode, answer: Result<Vec<String>, String>) {
        match answer {
            Ok(services) => {
                let name = name(path).unwrap_or_default();
                for service in services.iter().filter(|s| COMPONENTS.contains(&s.as_str())) {
                    tracing::info!(target: "pluggable-components-grpc-connector", "pluggable component '{name}' was successfully registered for '{service}'");
                }
                if let Ok(mut known) = self.known.lock() {
                    known.insert(path.to_owned(), Socket { inode, services });
                }
            }
            Err(why) if self.first_time(path, inode) => {
                tracing::warn!(target: "pluggable-components-discovery", "could not use socket for file {}: {why}", path.display());
            }
            Err(_) => {}
        }
    }
}

/// The file's name without its last extension.
fn name(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_str()?.to_lowercase())
}

/// The services of a kind that are among those of a socket.
fn offered(kind: Kind, services: &[String]) -> bool {
    let has = |service: &str| services.iter().any(|s| s == service);
    match kind {
        Kind::State => has(state::SERVICE),
        Kind::Pubsub => has(pubsub::SERVICE),
        Kind::Bindings => has(bindings::INPUT) || has(bindings::OUTPUT),
        Kind::SecretStores => has(secrets::SERVICE),
        _ => false,
    }
}

impl Remotes for Sockets {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn scan(&self) -> BoxFuture<'_, bool> {
        Box::pin(self.look())
    }

    fn again(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            match self.silent.load(Ordering::Relaxed) {
                0 => std::future::pending().await,
                in_a_row => tokio::time::sleep(Duration::from_secs((AGAIN.0 << (in_a_row - 1).min(8)).min(AGAIN.1))).await,
            }
        })
    }

    fn find(&self, component_type: &str, version: &str) -> Option<RemoteType> {
        // What has no versions has the first one.
        if !["", "v0", "v1"].contains(&version.to_lowercase().as_str()) {
            return None;
        }
        let component_type = component_type.to_lowercase();
        let kind = Kind::of_type(&component_type)?;
        let (_, wanted) = component_type.split_once('.')?;
        let known = self.known.lock().ok()?;
        let (path, socket) = known.iter().find(|(path, s)| name(path).as_deref() == Some(wanted) && offered(kind, &s.services))?;
        let digest = format!("{} {}", path.display(), socket.services.join(" "));
        let starter = Arc::new(Process { socket: path.clone(), kind, services: socket.services.clone() });
        Some(RemoteType { kind, source: Source { path: path.clone(), digest }, starter })
    }
}

/// Starts components of one kind on one socket.
struct Process {
    socket: PathBuf,
    kind: Kind,
    services: Vec<String>,
}

impl Process {
    /// A stated direction leaves the other service alone.
    fn ways(&self, properties: &HashMap<String, String>) -> Ways {
        let has = |service: &str| self.services.iter().any(|s| s == service);
        let direction = properties.iter().find(|(name, _)| name.eq_ignore_ascii_case("direction")).map(|(_, d)| d.to_lowercase());
        let asked = |way: &str| direction.as_deref().is_none_or(|d| d.split(',').any(|p| p.trim() == way));
        Ways { input: has(bindings::INPUT) && asked("input"), output: has(bindings::OUTPUT) && asked("output") }
    }
}

impl Starter for Process {
    fn start<'a>(&'a self, spec: &'a StartSpec) -> BoxFuture<'a, Result<(Facts, Box<dyn Remote>), String>> {
        Box::pin(async move {
            let properties: HashMap<String, String> = spec.properties.iter().cloned().collect();
            let ways = self.ways(&properties);
            let greet = match self.kind {
                Kind::State => state::greet(properties),
                Kind::Pubsub => pubsub::greet(properties),
                Kind::Bindings => bindings::greet(properties, ways),
                Kind::SecretStores => secrets::greet(properties),
                kind => return Err(format!("components of kind {kind} cannot live in another process")),
            };
            let plan = Plan {
                socket: self.socket.clone(),
                name: spec.name.clone(),
                greet,
                init_timeout: spec.init_timeout,
                call_timeout: spec.call_timeout.unwrap_or(CALL_TIMEOUT),
                stats: spec.stats.clone(),
            };
            let link = Arc::new(Link::open(plan).await?);
            let operations = link.welcome().map(|w| w.operations.clone()).unwrap_or_default();
            let role = match self.kind {
                Kind::State => Role::State(State::new(link, self.services.clone())),
                Kind::Pubsub => Role::PubSub(PubSub::new(link)),
                Kind::Bindings => Role::Binding(Binding::new(link, ways)),
                _ => Role::Secrets(Secrets { link }),
            };
            Ok((Facts { operations, ..Facts::default() }, Box::new(Component::new(role)) as Box<dyn Remote>))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn sockets(name: &str, services: &[&str]) -> Sockets {
        let sockets = Sockets::new("/nowhere".into());
        let services = services.iter().map(|s| (*s).to_owned()).collect();
        sockets.known.lock().unwrap().insert(Path::new("/nowhere").join(name), Socket { inode: (0, 0, 0, 0), services });
        sockets
    }

    #[test]
    fn a_type_is_the_kind_and_the_sockets_name() {
        let sockets = sockets("My.Store.sock", &[state::SERVICE, bindings::OUTPUT]);
        let kind = |t: &str, v: &str| sockets.find(t, v).map(|found| found.kind);
        assert_eq!(kind("state.my.store", "v1"), Some(Kind::State));
        assert_eq!(kind("State.My.Store", ""), Some(Kind::State));
        assert_eq!(kind("bindings.my.store", "v0"), Some(Kind::Bindings));
        for (t, v) in [("state.my.store", "v2"), ("pubsub.my.store", "v1"), ("state.my", "v1"), ("secretstores.my.store", "v1")] {
            assert_eq!(kind(t, v), None, "{t} {v}");
        }
    }

    #[test]
    fn a_direction_leaves_the_other_service_alone() {
        let services = vec![bindings::INPUT.to_owned(), bindings::OUTPUT.to_owned()];
        let process = Process { socket: "/nowhere".into(), kind: Kind::Bindings, services };
        let ways = |direction: Option<&str>| {
            let ways = process.ways(&direction.map(|d| ("Direction".to_owned(), d.to_owned())).into_iter().collect());
            (ways.input, ways.output)
        };
        assert_eq!(
            [ways(None), ways(Some("input")), ways(Some("Output")), ways(Some("input, output"))],
            [(true, true), (true, false), (false, true), (true, true)]
        );
    }
}
