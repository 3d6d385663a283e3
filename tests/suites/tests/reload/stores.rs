//! The YAML of a state store is edited: another revision, another setting.

use std::time::Duration;

use proa_harness::{Redis, Sidecar, against_dapr, component, until};

use crate::guests::{annotated, sidecar};
use crate::load::under_load;
use crate::process::{generation, resident, swapped};

/// Another annotation is another resource.
fn revision(yaml: &str, number: u32) -> String {
    annotated(yaml, &[("test/revision", &number.to_string())])
}

async fn edited(case: &str, sidecar: &Sidecar, yaml: impl Fn(u32) -> String) {
    let mut number = generation(sidecar, "store").await;
    let before = resident(sidecar);
    under_load(case, sidecar, "store", async |n| {
        sidecar.write_resource("store.yaml", &revision(&yaml(n), n));
        number = swapped(sidecar, "store", number).await;
    })
    .await;
    // What is replaced goes: memory does not grow with the number of swaps.
    let after = resident(sidecar);
    assert!(after < before + 96, "{case}: {before} MiB before, {after} MiB after");
}

/// What the component keeps in its own memory goes along: the ledger of the load checks it after every swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_keeps_its_data() {
    if against_dapr() {
        return;
    }
    let yaml = component("store", "state.in-memory", &[]);
    let sidecar = sidecar().resource_file("store.yaml", &yaml).start().await;
    edited("state.in-memory, YAML edited", &sidecar, |_| yaml.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    if against_dapr() {
        return;
    }
    let yaml =
        |n: u32| component("store", "state.sqlite", &[("connectionString", "data.db"), ("timeout", if n.is_multiple_of(2) { "20s" } else { "21s" })]);
    let sidecar = sidecar().resource_file("store.yaml", yaml(0)).start().await;
    edited("state.sqlite, YAML edited", &sidecar, yaml).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    if against_dapr() {
        return;
    }
    let redis = Redis::start().await;
    let host = redis.host();
    let yaml = |n: u32| component("store", "state.redis", &[("redisHost", &host), ("readTimeout", if n.is_multiple_of(2) { "3s" } else { "4s" })]);
    let sidecar = sidecar().resource_file("store.yaml", yaml(0)).start().await;
    edited("state.redis, YAML edited", &sidecar, yaml).await;
    // Each generation had its connections; those of the old ones are closed.
    until("few connections", Duration::from_secs(10), || async {
        let clients = redis.command(&["CLIENT", "LIST"]).await;
        (clients.text().lines().count() <= 6).then_some(())
    })
    .await;
}
