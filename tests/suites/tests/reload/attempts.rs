//! A change that takes long holds up nobody else's: while one component hangs in `init`, another one's change is taken.

use std::time::{Duration, Instant};

use proa_harness::{against_dapr, component};

use crate::guests::{annotated, sidecar, with_guest};
use crate::process::{generation, swapped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_init_does_not_delay_others() {
    if against_dapr() {
        return;
    }
    let slow = |init: &str| with_guest(&component("slow", "state.hostile", &[("init", init)]), "hostile-state") + "  initTimeout: 40s\n";
    let other = component("other", "state.in-memory", &[]);
    let sidecar = sidecar().resource_file("slow.yaml", slow("")).resource_file("other.yaml", &other).start().await;
    let mut number = generation(&sidecar, "other").await;
    sidecar.write_resource("slow.yaml", &slow("hang"));
    let begun = Instant::now();
    // The first change falls into the pass that waits for the hanging one, the others come after it.
    for revision in 1..=3 {
        sidecar.write_resource("other.yaml", &annotated(&other, &[("test/revision", &revision.to_string())]));
        number = swapped(&sidecar, "other", number).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "three changes took {:?}", begun.elapsed());
    // A change of the hanging component itself does not wait for what is not wanted any more.
    let first = generation(&sidecar, "slow").await;
    sidecar.write_resource("slow.yaml", &annotated(&slow(""), &[("test/revision", "2")]));
    swapped(&sidecar, "slow", first).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "the change after the hanging one took {:?}", begun.elapsed());
}
