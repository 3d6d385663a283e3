//! Components whose snapshot stalls: in `save`, in the middle of the stream, without end, or in `load`. The swap is refused in good
//! time, calls are answered, and the sidecar does not take in what has no end.

use std::time::Duration;

use proa_harness::{Sidecar, against_dapr, component, until};

use crate::guests::{sidecar, with_guest};
use crate::load::Load;
use crate::process::{generation, resident, slim, told};

fn store(stall: &str, mark: &str) -> String {
    with_guest(&component("store", "state.stall-snapshot", &[("stall", stall), ("mark", mark)]), "stall-snapshot") + "  initTimeout: 1s\n"
}

/// Starts from `before`, puts `after` in its place, and expects that it is refused because of `why`.
async fn refused(case: &str, before: String, after: String, why: &str) {
    if against_dapr() {
        return;
    }
    let sidecar: Sidecar = sidecar().resource_file("store.yaml", before).start().await;
    let first = generation(&sidecar, "store").await;
    let load = Load::on(&sidecar, "store").await;
    load.swapping();
    sidecar.write_resource("store.yaml", &after);
    let error = until("the refusal", Duration::from_secs(15), || told(&sidecar, "store", "error")).await;
    let peak = resident(&sidecar);
    assert!(error.contains(why), "{case}: {error}");
    assert_eq!(generation(&sidecar, "store").await, first);
    load.end().await.flawless(case, 1, &sidecar);
    println!("reload {case}: {error}; {peak} MiB then");
    slim(&sidecar, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn save_never_returns() {
    refused("save stalls", store("save", "a"), store("save", "b"), "cannot save the state").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_stops() {
    refused("snapshot stream stalls", store("stream", "a"), store("stream", "b"), "cannot save the state").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_has_no_end() {
    refused("snapshot without end", store("endless", "a"), store("endless", "b"), "cannot save the state").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_never_returns() {
    refused("load stalls", store("", "a"), store("load", "b"), "did not answer").await;
}

/// A resource that is new and fails at once has no old generation; what is wrong is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_component_that_fails_is_told() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar().start().await;
    let fresh = with_guest(&component("fresh", "state.hostile", &[("init", "fail")]), "hostile-state");
    sidecar.write_resource("fresh.yaml", &fresh);
    let error = until("the reason", Duration::from_secs(10), || told(&sidecar, "fresh", "error")).await;
    assert!(error.contains("refuses to start"), "{error}");
}
