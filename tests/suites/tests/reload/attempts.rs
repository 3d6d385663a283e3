//! A change that takes long holds up nobody else's: while one component hangs in `init`, another one's change is taken.

use std::time::{Duration, Instant};

use proa_harness::{against_dapr, component, until};

use crate::guests::{annotated, sidecar, with_guest};
use crate::load::Load;
use crate::modules::rebuilt;
use crate::process::{generation, swapped, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_init_does_not_delay_others() {
    if against_dapr() {
        return;
    }
    let slow = |init: &str, mark: &str| {
        with_guest(&component("slow", "state.hostile", &[("init", init), ("mark", mark)]), "hostile-state") + "  initTimeout: 40s\n"
    };
    let other = component("other", "state.in-memory", &[]);
    let sidecar = sidecar().resource_file("slow.yaml", slow("", "A")).resource_file("other.yaml", &other).start().await;
    let mut number = generation(&sidecar, "other").await;
    sidecar.write_resource("slow.yaml", &slow("hang", "A"));
    let begun = Instant::now();
    // The first change falls into the pass that waits for the hanging one, the others come after it.
    for revision in 1..=3 {
        sidecar.write_resource("other.yaml", &annotated(&other, &[("test/revision", &revision.to_string())]));
        number = swapped(&sidecar, "other", number).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "three changes took {:?}", begun.elapsed());
    // A change of the hanging component itself does not wait for what is not wanted any more.
    let first = generation(&sidecar, "slow").await;
    sidecar.write_resource("slow.yaml", &slow("", "B"));
    swapped(&sidecar, "slow", first).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "the change after the hanging one took {:?}", begun.elapsed());
}

/// A backend that admits one holder: the old generation is stopped first, and serves again when its successor does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exclusive_component_comes_back_after_a_failed_change() {
    if against_dapr() {
        return;
    }
    let work = tempfile::tempdir().expect("work");
    let module = work.path().join("exclusive.wasm");
    rebuilt("hostile-state", "hostile-state", &module, |manifest| manifest["exclusive"] = true.into());
    let yaml =
        |metadata: &[(&str, &str)]| annotated(&component("store", "state.hostile", metadata), &[("proa.dev/module", &module.display().to_string())]);
    let sidecar = sidecar().resource_file("store.yaml", yaml(&[])).start().await;
    let load = Load::on(&sidecar, "store").await;
    load.swapping();
    let first = generation(&sidecar, "store").await;
    sidecar.write_resource("store.yaml", &yaml(&[("init", "fail")]));
    let refused = async || told(&sidecar, "store", "error").await;
    until("the refusal", Duration::from_secs(15), || async { refused().await }).await;
    assert_eq!(generation(&sidecar, "store").await, first);
    sidecar.write_resource("store.yaml", &yaml(&[("mark", "C")]));
    swapped(&sidecar, "store", first).await;
    load.end().await.flawless("exclusive component", 2, &sidecar);
}
