//! Swaps that fail, of every kind: the old generation serves on without one failed call, and log, metadata API and metric say why.
//! Once the cause is gone, so is the complaint, and the next change is taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proa_harness::{Sidecar, Wire, against_dapr, component, until};

use crate::guests::{annotated, guest, sidecar};
use crate::load::Load;
use crate::modules::rebuilt;
use crate::process::{generation, metric, tail, told};
use crate::swaps;

/// One way in which a swap fails.
struct Failure {
    name: &'static str,
    yaml: String,
    /// What is put in the place of the component's file.
    module: Option<PathBuf>,
    /// What the reason must say.
    why: &'static str,
}

fn store(metadata: &[(&str, &str)]) -> String {
    component("store", "state.hostile", &[&[("mark", "A")], metadata].concat())
}

fn failures(work: &Path) -> Vec<Failure> {
    // A secret store that claims to be this state store.
    let other_kind = work.join("other-kind.wasm");
    rebuilt("wrong-world", "hostile-state", &other_kind, |_| {});
    let yaml = |name, yaml, why| Failure { name, yaml, module: None, why };
    let module = |name, file, why| Failure { name, yaml: store(&[]), module: Some(file), why };
    let strict = annotated(&store(&[("markk", "x")]), &[("proa.dev/strict", "true")]);
    vec![
        yaml("bad YAML", "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store\nspec:\n  - ]".into(), "store.yaml"),
        yaml("unknown metadata, strict", strict, "markk: no such field; the nearest is mark"),
        yaml("missing grant", store(&[("init", "dial:127.0.0.1:9")]), "dial:127.0.0.1:9"),
        yaml("failing init", store(&[("init", "fail")]), "refuses to start"),
        yaml("trapping init", store(&[("init", "trap")]), "init trapped"),
        yaml("hanging init", store(&[("init", "hang")]) + "  initTimeout: 1s\n", "did not return within"),
        module("no wasm", guest("bad/bad-wasm"), "not a wasm component"),
        module("half a component", guest("bad/truncated"), "not a wasm component"),
        module("module of another kind", other_kind, "does not export proa:state/store"),
        yaml("snapshot load fails", store(&[("snapshot", "load-fail")]), "does not load"),
        yaml("snapshot load traps", store(&[("snapshot", "load-trap")]), "cannot take over the state"),
    ]
}

/// A file put in place in one step.
fn put(source: &[u8], place: &Path) {
    let next = place.with_file_name(".next");
    std::fs::write(&next, source).expect("written");
    std::fs::rename(next, place).expect("in place");
}

/// How often a change of the store was refused.
async fn refused(sidecar: &Sidecar) -> f64 {
    metric(sidecar, "proa_component_swaps_total", &["component=\"store\"", "outcome=\"refused\""]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_generation_serves_on() {
    if against_dapr() {
        return;
    }
    let work = tempfile::tempdir().expect("work");
    let failures = failures(work.path());
    let folder = tempfile::tempdir().expect("resources");
    let (yaml, module) = (folder.path().join("store.yaml"), folder.path().join("store.wasm"));
    let good = std::fs::read(guest("hostile-state")).expect("component");
    put(&good, &module);
    put(store(&[]).as_bytes(), &yaml);
    let sidecar = sidecar().flag("--resources-path", &folder.path().display().to_string()).start().await;
    let first = generation(&sidecar, "store").await;
    let load = Load::on(&sidecar, "store").await;
    load.swapping();
    let mut complaints = Vec::new();
    let rounds = swaps().div_ceil(20);
    for failure in (0..rounds).flat_map(|_| &failures) {
        if let Err(complaint) = refused_and_told(&sidecar, failure, &yaml, &module, &good, first).await {
            complaints.push(format!("{}: {complaint}", failure.name));
        }
    }
    // After all of that a good change is taken, and the data are still there: the ledger of the load knows.
    put(component("store", "state.hostile", &[("mark", "B")]).as_bytes(), &yaml);
    until("the good change", Duration::from_secs(15), || async { (mark(&sidecar).await == "B").then_some(()) }).await;
    load.end().await.flawless("failing swaps", rounds * failures.len() as u32, &sidecar);
    assert!(complaints.is_empty(), "{complaints:#?}\nlog:\n{}", tail(&sidecar, 60));
}

async fn mark(sidecar: &Sidecar) -> String {
    let found = sidecar.api(Wire::Http).await.get("store", "mark").await.expect("the mark");
    String::from_utf8_lossy(&found.value.unwrap_or_default()).into_owned()
}

/// Breaks, looks, and mends; the error says what was not as promised.
async fn refused_and_told(sidecar: &Sidecar, failure: &Failure, yaml: &Path, module: &Path, good: &[u8], first: u64) -> Result<(), String> {
    let before = refused(sidecar).await;
    put(failure.yaml.as_bytes(), yaml);
    if let Some(file) = &failure.module {
        put(&std::fs::read(file).expect("a bad module"), module);
    }
    let reason = error(sidecar, |error| error.is_some()).await;
    let mut complaints = Vec::new();
    match &reason {
        Some(text) if text.contains(failure.why) => {}
        other => complaints.push(format!("the metadata API says {other:?}, not {:?}", failure.why)),
    }
    if !sidecar.logs().text().lines().any(|line| line.contains("store") && line.contains(failure.why)) {
        complaints.push(format!("the log does not say {:?}", failure.why));
    }
    if refused(sidecar).await <= before {
        complaints.push("the metric does not count it".into());
    }
    if generation(sidecar, "store").await != first || mark(sidecar).await != "A" {
        complaints.push("another generation serves".into());
    }
    put(good, module);
    put(store(&[]).as_bytes(), yaml);
    if let Some(text) = error(sidecar, |error| error.is_none()).await {
        complaints.push(format!("mended, and still told: {text}"));
    }
    println!("reload failing swap, {}: {}", failure.name, reason.unwrap_or_default());
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

/// The error of the store in the metadata API, once it is as wanted or time is up.
async fn error(sidecar: &Sidecar, wanted: impl Fn(&Option<String>) -> bool) -> Option<String> {
    for _ in 0..120 {
        let error = told(sidecar, "store", "error").await;
        if wanted(&error) {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    told(sidecar, "store", "error").await
}

/// What calls on a store are held back for is bounded: a store with state of its own whose successor hangs in `init` answers meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_do_not_wait_for_an_init_that_hangs() {
    if against_dapr() {
        return;
    }
    let yaml = |init: &str| crate::guests::with_guest(&store(&[("init", init)]), "hostile-state") + "  initTimeout: 40s\n";
    let sidecar = sidecar().resource_file("store.yaml", yaml("")).start().await;
    let api = sidecar.api(Wire::Grpc).await;
    api.put("store", "k", 1).await;
    sidecar.write_resource("store.yaml", &yaml("hang"));
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let call = tokio::time::timeout(Duration::from_secs(3), api.value("store", "k"));
        assert_eq!(call.await.expect("an answer while the successor hangs in init"), 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
