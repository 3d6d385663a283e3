//! The component's file in the resources folder is replaced by another build of the same component.

use std::path::{Path, PathBuf};
use std::process::Command;

use proa_harness::{against_dapr, component};
use serde_json::{Value, json};

use crate::guests::{guest, sidecar};
use crate::load::under_load;
use crate::process::{generation, swapped};

/// The binary under its own name: under Dapr's it takes Dapr's flags only.
fn proa() -> PathBuf {
    let given = std::env::var_os("PROA_BIN").map(PathBuf::from);
    let binary = given.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../bin/daprd").into());
    binary.canonicalize().expect("the binary under test")
}

/// The component `name` with a manifest that `change` has edited, written to `out`.
pub fn rebuilt(name: &str, manifest_of: &str, out: &Path, change: impl FnOnce(&mut Value)) {
    let source = format!("{}/../guests/{manifest_of}/manifest.json", env!("CARGO_MANIFEST_DIR"));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(source).expect("manifest")).expect("JSON");
    change(&mut manifest);
    let edited = out.with_extension("json");
    std::fs::write(&edited, manifest.to_string()).expect("manifest written");
    let done = Command::new(proa()).args(["component", "embed"]).arg(guest(name)).arg(&edited).arg(out).output().expect("proa runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_build_takes_over() {
    if against_dapr() {
        return;
    }
    let builds = tempfile::tempdir().expect("builds");
    let build = |n: u32| builds.path().join(format!("build-{}.wasm", n % 2));
    for n in 0..2 {
        rebuilt("hostile-state", "hostile-state", &build(n), |manifest| manifest["buildId"] = json!(format!("build {n}")));
    }
    let folder = tempfile::tempdir().expect("resources");
    let place = folder.path().join("store.wasm");
    std::fs::copy(build(0), &place).expect("first build");
    std::fs::write(folder.path().join("store.yaml"), component("store", "state.hostile", &[])).expect("resource");
    let sidecar = sidecar().flag("--resources-path", &folder.path().display().to_string()).start().await;
    let mut number = generation(&sidecar, "store").await;
    under_load(".wasm replaced", &sidecar, "store", async |n| {
        if n % 4 < 2 {
            // Copied over it, as `cp` does: for a moment there is half a file.
            std::fs::copy(build(n), &place).expect("next build");
        } else {
            let next = folder.path().join(".store.next");
            std::fs::copy(build(n), &next).expect("next build");
            std::fs::rename(next, &place).expect("in place");
        }
        number = swapped(&sidecar, "store", number).await;
    })
    .await;
}
