//! Resources come and go beside one that is under load.

use std::time::Duration;

use proa_harness::{Wire, against_dapr, component, until};

use crate::guests::sidecar;
use crate::load::under_load;
use crate::process::{metric, tail};
use crate::swaps;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_and_removed() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar().resource_file("kept.yaml", component("kept", "state.in-memory", &[])).start().await;
    let api = sidecar.api(Wire::Http).await;
    under_load("resource added and removed", &sidecar, "kept", async |n| {
        sidecar.write_resource("extra.yaml", &component("extra", "state.in-memory", &[]));
        until(&format!("the added store, log:\n{}", tail(&sidecar, 10)), Duration::from_secs(15), || async { api.get("extra", "x").await.ok() })
            .await;
        for key in 0..20 {
            api.put("extra", &format!("k{key}"), n).await;
            assert_eq!(api.value("extra", &format!("k{key}")).await, n);
        }
        sidecar.remove_resource("extra.yaml");
        let error = until("the store's end", Duration::from_secs(15), || async { api.get("extra", "x").await.err() }).await;
        assert_eq!(error.error_code, "ERR_STATE_STORE_NOT_FOUND", "{error:?}");
    })
    .await;
    let removed = metric(&sidecar, "proa_component_swaps_total", &["component=\"extra\"", "outcome=\"removed\""]).await;
    assert_eq!(removed as u32, swaps());
}

/// One file with several stores: the others do not notice that one of them changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_in_the_same_file() {
    if against_dapr() {
        return;
    }
    let yaml = |n: u32| {
        let neighbour = component("neighbour", "state.in-memory", &[]).replacen("spec:", &format!("  labels:\n    n: \"{n}\"\nspec:"), 1);
        let neighbour = crate::guests::annotated(&neighbour, &[("test/revision", &n.to_string())]);
        format!("{}---\n{neighbour}", component("kept", "state.in-memory", &[]))
    };
    let sidecar = sidecar().resource_file("stores.yaml", yaml(0)).start().await;
    let kept = crate::process::generation(&sidecar, "kept").await;
    let mut number = crate::process::generation(&sidecar, "neighbour").await;
    under_load("neighbour in the same file", &sidecar, "kept", async |n| {
        sidecar.write_resource("stores.yaml", &yaml(n));
        number = crate::process::swapped(&sidecar, "neighbour", number).await;
    })
    .await;
    assert_eq!(crate::process::generation(&sidecar, "kept").await, kept, "what did not change was not swapped");
}
