//! A host with a catalogue of the guests under test, compiled once a run, and generations started from it.

use proa_host::catalogue;
use proa_host::generation::Stats;
use proa_host::start::Found;
use proa_host::{Generation, Host, HostOptions, StartSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// Components that ship, by folder name.
const SHIPPED: [&str; 4] = ["middleware-uppercase", "middleware-routerchecker", "middleware-routeralias", "state-in-memory"];
/// Components of `tests/guests`.
const FOR_TESTS: [&str; 3] = ["hostile-middleware", "hostile-state", "pull-proof"];

static TURN: Mutex<()> = Mutex::const_new(());
static CATALOGUE: OnceCell<PathBuf> = OnceCell::const_new();

/// A host, and the turn of the test that has it.
pub struct Bench {
    host: Host,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    pub async fn new() -> Self {
        let turn = TURN.lock().await;
        let folder = CATALOGUE.get_or_init(|| async { tokio::task::spawn_blocking(pack).await.expect("packed") }).await;
        let host = Host::new(&HostOptions { catalogue: Some(folder.clone()), cache: folder.join("cache") }).expect("host");
        Self { host, _turn: turn }
    }

    /// A generation of the shipped or testing component of this type; calls may take two seconds.
    pub async fn start(&self, component_type: &str, properties: &[(&str, &str)]) -> Arc<Generation> {
        self.start_counted(component_type, properties, &Arc::default()).await
    }

    /// The same, with counters to look at.
    pub async fn start_counted(&self, component_type: &str, properties: &[(&str, &str)], stats: &Arc<Stats>) -> Arc<Generation> {
        let found = self.host.find(component_type, "v1", None, &[], None).expect("in the catalogue");
        let Found::Module(found) = found else { panic!("{component_type} is no process elsewhere") };
        let module = self.host.load(&found).await.expect("loaded");
        let spec = StartSpec {
            name: "tested".into(),
            component_type: component_type.into(),
            version: "v1".into(),
            generation: 1,
            app_id: "app".into(),
            namespace: "default".into(),
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            allow_hosts: None,
            strict: true,
            memory_limit: None,
            instances: None,
            init_timeout: Duration::from_secs(5),
            announce: None,
            call_timeout: Some(Duration::from_secs(2)),
            stats: stats.clone(),
        };
        self.host.start(module, &spec).await.expect("started")
    }
}

/// Copies the components into one folder and compiles them; what a former run compiled stays.
fn pack() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("host-catalogue");
    std::fs::create_dir_all(&folder).expect("catalogue folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target folder");
    let shipped = places("PROA_GUESTS", vec![root.join("bin/components")]);
    let testing = places("PROA_TEST_GUESTS", vec![target.join("test-guests"), root.join("tests/guests/target/test-guests")]);
    for (names, places) in [(SHIPPED.as_slice(), shipped), (FOR_TESTS.as_slice(), testing)] {
        for name in names {
            let source = find(name, &places);
            std::fs::copy(&source, folder.join(format!("{name}.wasm"))).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        }
    }
    catalogue::pack(&folder).expect("catalogue");
    folder
}

fn places(variable: &str, default: Vec<PathBuf>) -> Vec<PathBuf> {
    std::env::var_os(variable).map_or(default, |folder| vec![folder.into()])
}

/// Cargo and the catalogue write the same name with other dashes.
fn find(name: &str, places: &[PathBuf]) -> PathBuf {
    let names = [format!("{name}.wasm"), format!("{}.wasm", name.replace('-', "_"))];
    let all = places.iter().flat_map(|place| names.iter().map(move |name| place.join(name)));
    all.into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name}.wasm is in none of {places:?}: run make build and tests/guests/build.sh"))
}

/// Resident memory in KiB.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
