//! A store with the synchronous ABI: its pool of instances serves calls side by side, and one that blocks holds up itself only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proa_harness::{Item, Sidecar, Wire, against_dapr, component};

use crate::bystander::{Bystander, neighbour};
use crate::guests::{annotated, guest, sidecar};

const CALLS: usize = 40;

async fn start(instances: &str) -> Sidecar {
    let folder = "pool";
    let yaml = component("pool", "state.sync-example", &[("folder", folder)]);
    let yaml = annotated(&yaml, &[("proa.dev/module", &guest("sync-state").display().to_string()), ("proa.dev/instances", instances)]);
    sidecar().resource(neighbour()).resource(yaml).start().await
}

/// Reads `key` many times at once and gives what came back.
async fn at_once(sidecar: &Sidecar, key: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for number in 0..CALLS {
        let (api, key) = (sidecar.api(Wire::BOTH[number % 2]).await, key.to_owned());
        calls.push(tokio::spawn(async move { api.get("pool", &key).await.expect("an answer").value.unwrap_or_default() }));
    }
    let mut values = Vec::new();
    for call in calls {
        values.push(String::from_utf8_lossy(&call.await.expect("a caller")).into_owned());
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_run_side_by_side() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start("4").await;
    let api = sidecar.api(Wire::Http).await;
    api.put("pool", "slow", "value").await;
    let bystander = Bystander::begin(&sidecar).await;
    let begun = Instant::now();
    assert!(at_once(&sidecar, "slow").await.iter().all(|value| value == "\"value\""));
    let took = begun.elapsed();
    // Those that ask while others are asking meet other instances.
    let (instances, _) = tokio::join!(at_once(&sidecar, "instance"), at_once(&sidecar, "slow"));
    let distinct: BTreeSet<&String> = instances.iter().collect();
    assert!((2..=4).contains(&distinct.len()), "{} instances answered", distinct.len());
    bystander.end("blocking calls", &format!("{CALLS} calls of 5 ms in {took:.1?}, {} instances", distinct.len()), &mut sidecar).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_serves_one_after_the_other() {
    if against_dapr() {
        return;
    }
    let sidecar = start("1").await;
    let instances = at_once(&sidecar, "instance").await;
    assert_eq!(instances.iter().collect::<BTreeSet<_>>().len(), 1);
    let begun = Instant::now();
    at_once(&sidecar, "slow").await;
    assert!(begun.elapsed() >= Duration::from_millis(5) * CALLS as u32, "they cannot have waited for one another");
}

/// Of many first writes of one key at the same time exactly one wins, whichever instance it met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_agree() {
    if against_dapr() {
        return;
    }
    let sidecar = start("4").await;
    let mut calls = Vec::new();
    for number in 0..20 {
        let api = sidecar.api(Wire::BOTH[number % 2]).await;
        calls.push(tokio::spawn(async move { api.save("pool", &[Item::new("once", number).first_write()]).await.is_ok() }));
    }
    let mut winners = 0;
    for call in calls {
        winners += usize::from(call.await.expect("a caller"));
    }
    assert_eq!(winners, 1);
}
