//! Processes that come, go and come back while the sidecar runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proa_harness::pluggable::Process;
use proa_harness::{Item, Wire, against_dapr, component, until};
use serde_json::json;

use crate::Place;

const LIMIT: Duration = Duration::from_secs(15);

/// Calls that were not on their way when the process ended wait for the next one, which is initialised before it is called. Reads never
/// fail; a write may, when it was on its way.
#[tokio::test]
async fn a_restart_in_the_middle_of_calls() {
    if against_dapr() {
        // Dapr calls the next process without initialising it.
        return;
    }
    let place = Place::default();
    let mut process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[("a", "1")])).start().await;
    sidecar.api(Wire::Http).await.put("store", "seed", 0).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for number in 0..4 {
        let (api, stop) = (sidecar.api(Wire::BOTH[number % 2]).await, stop.clone());
        workers.push(tokio::spawn(async move {
            let (mut reads, mut writes, mut broken) = (0, 0, 0);
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(api.value("store", "seed").await, json!(0), "a read");
                reads += 1;
                match api.save("store", &[Item::new(&format!("w{number}"), writes)]).await {
                    Ok(()) => writes += 1,
                    Err(error) => {
                        error.says("connection lost");
                        broken += 1;
                    }
                }
            }
            (reads, writes, broken)
        }));
    }
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.kill();
        place.backend.forget_inits();
        tokio::time::sleep(Duration::from_millis(200)).await;
        process = place.process().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let (reads, writes, broken) = worker.await.expect("no read failed");
        assert!(reads > 20 && writes > 20, "{reads} reads, {writes} writes");
        assert!(broken <= 5, "{broken} writes broken by 5 restarts");
    }
    let inits = place.backend.inits();
    assert!(inits.iter().all(|c| c.properties["a"] == "1") && !inits.is_empty(), "{inits:?}");
}

#[tokio::test]
async fn a_socket_that_comes_late_starts_its_component() {
    if against_dapr() {
        // Dapr looks for sockets once.
        return;
    }
    let place = Place::default();
    let late =
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: late\nspec:\n  type: state.box\n  version: v1\n  ignoreErrors: true\n";
    let sidecar = place.sidecar().resource(late).start().await;
    let api = sidecar.api(Wire::Http).await;
    api.get("late", "k").await.expect_err("nobody offers the type yet").expect(
        500,
        tonic::Code::FailedPrecondition,
        "ERR_STATE_STORE_NOT_CONFIGURED",
    );
    let process = place.process().await;
    until("the component", LIMIT, async || api.get("late", "k").await.ok()).await;
    api.put("late", "k", 1).await;

    // A process that goes for good: the component stays, and says why it cannot answer.
    process.remove();
    let error = until("a failure", LIMIT, async || api.get("late", "k").await.err()).await;
    error.expect(500, tonic::Code::Internal, "ERR_STATE_GET").says("code = Unavailable");
    let _process = place.process().await;
    until("the component", LIMIT, async || api.get("late", "k").await.ok()).await;
    assert_eq!(api.value("late", "k").await, json!(1));
}

/// A process that comes back with more services than before is another component: what was not there can be done now.
#[tokio::test]
async fn a_process_that_learned_something() {
    if against_dapr() {
        return;
    }
    let place = Place::default();
    let process = Process::start_with(place.folder.path(), "box", &place.backend, &["StateStore"]).await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let query = || async { sidecar.http().post("/v1.0-alpha1/state/store/query", &json!({ "filter": { "EQ": 1 } })).await.status };
    assert_eq!(query().await, 500);
    process.remove();
    let _process = place.process().await;
    until("queries", LIMIT, async || (query().await != 500).then_some(())).await;
}

/// New metadata are a new generation; metadata that the component refuses leave the old one in its place.
#[tokio::test]
async fn metadata_are_swapped() {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource_file("store.yaml", component("store", "state.box", &[("a", "1")])).start().await;
    let api = sidecar.api(Wire::Http).await;
    api.put("store", "k", 1).await;
    sidecar.write_resource("store.yaml", &component("store", "state.box", &[("a", "2")]));
    until("the new metadata", LIMIT, async || place.backend.inits().iter().any(|c| c.properties["a"] == "2").then_some(())).await;
    assert_eq!(api.value("store", "k").await, json!(1));
    if against_dapr() {
        return;
    }
    sidecar.write_resource("store.yaml", &component("store", "state.box", &[("a", "3"), ("refuse", "no such colour")]));
    sidecar.logs_contain("rpc error: code = InvalidArgument desc = no such colour").await;
    assert_eq!(api.value("store", "k").await, json!(1));
}

/// What lies in the folder and is no socket, or a socket behind which nobody listens, is passed over.
#[tokio::test]
async fn what_is_no_component_is_passed_over() {
    if against_dapr() {
        // Dapr waits for a dead socket for ever.
        return;
    }
    let place = Place::default();
    std::fs::write(place.folder.path().join("notes.txt"), "hello").expect("a file");
    drop(std::os::unix::net::UnixListener::bind(place.folder.path().join("dead.sock")).expect("a socket"));
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    sidecar.api(Wire::Grpc).await.put("store", "k", 1).await;
    for file in ["notes.txt", "dead.sock"] {
        sidecar.logs_contain(&format!("could not use socket for file {}", place.folder.path().join(file).display())).await;
    }
}

#[tokio::test]
async fn a_component_that_refuses_to_start_ends_the_sidecar() {
    let place = Place::default();
    let _process = place.process().await;
    let stopped = place.sidecar().resource(component("store", "state.box", &[("refuse", "no such colour")])).start_failing().await;
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.logs.text().contains("rpc error: code = InvalidArgument desc = no such colour"), "{}", stopped.logs.text());
}
