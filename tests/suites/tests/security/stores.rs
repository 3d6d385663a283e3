//! A state store that misbehaves in the middle of a call.

use std::time::Duration;

use proa_harness::{Item, Sidecar, Wire, against_dapr, component, until};

use crate::bystander::{Bystander, neighbour};
use crate::guests::{annotated, guest, sidecar};
use crate::process::{logged, metric, tail};

/// A caller that has not heard anything by then is lost.
const LIMIT: Duration = Duration::from_secs(25);

/// The hostile store, which gives up calls after a second.
pub fn hostile(metadata: &[(&str, &str)]) -> String {
    let yaml = component("hostile", "state.hostile", metadata);
    annotated(&yaml, &[("proa.dev/module", &guest("hostile-state").display().to_string()), ("proa.dev/call-timeout", "1s")])
}

async fn start() -> Sidecar {
    sidecar().resource(neighbour()).resource(hostile(&[("mark", "well")])).start().await
}

/// It serves again, in an instance that knows nothing of the attack.
pub async fn recovered(sidecar: &Sidecar) {
    let api = sidecar.api(Wire::Grpc).await;
    until(&format!("recovery, log:\n{}", tail(sidecar, 20)), Duration::from_secs(20), || async {
        let value = api.get("hostile", "mark").await.ok()?.value?;
        (value.as_ref() == b"well").then_some(())
    })
    .await;
}

/// Reads `key` over both transports while a bystander calls the neighbour; gives what came back over gRPC.
async fn attack(key: &str, reason: &[&str]) -> Result<String, String> {
    let mut sidecar = start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let mut last = Err("not called".to_owned());
    for wire in Wire::BOTH {
        let api = sidecar.api(wire).await;
        let answer =
            tokio::time::timeout(LIMIT, api.get("hostile", key)).await.unwrap_or_else(|_| panic!("{key} over {wire:?}: no answer within {LIMIT:?}"));
        last = answer.map(|found| String::from_utf8_lossy(&found.value.unwrap_or_default()).into_owned()).map_err(|error| error.message);
        recovered(&sidecar).await;
    }
    let outcome = match &last {
        Ok(text) => format!("answer {:?}", text.chars().take(80).collect::<String>()),
        Err(text) => format!("error {text:?}"),
    };
    bystander.end(key, &outcome, &mut sidecar).await;
    if !reason.is_empty() {
        logged(&sidecar, &[&["component=hostile"], reason].concat()).await;
    }
    last
}

/// The call fails, and the log says why.
async fn fails(key: &str, reason: &[&str]) {
    if against_dapr() {
        return;
    }
    let outcome = attack(key, reason).await;
    assert!(outcome.is_err(), "{key}: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop() {
    fails("spin", &["trapped", "without giving way"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_of_memory() {
    fails("alloc", &["trapped"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_recursion() {
    // The guest's stack lies in its memory: that ends first.
    fails("deep", &["trapped", "wasm trap"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap() {
    fails("trap", &["trapped", "unreachable"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_returns() {
    fails("never", &["deadline"]).await;
}

/// Nobody waits for the deadline any more when it comes: it is kept all the same, and the instance replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_returns_to_a_caller_who_left() {
    if against_dapr() {
        return;
    }
    for wire in Wire::BOTH {
        let sidecar = start().await;
        let api = sidecar.api(wire).await;
        let impatient = tokio::time::timeout(Duration::from_millis(200), api.get("hostile", "never")).await;
        assert!(impatient.is_err(), "{wire:?}: answered {impatient:?}");
        logged(&sidecar, &["component=hostile", "deadline"]).await;
        recovered(&sidecar).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer() {
    fails("huge", &["trapped"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_every_kind() {
    if against_dapr() {
        return;
    }
    let sidecar = start().await;
    for wire in Wire::BOTH {
        let api = sidecar.api(wire).await;
        for kind in ["etag-mismatch", "etag-invalid", "invalid-argument", "unavailable", "other"] {
            let error = api.get("hostile", &format!("error:{kind}")).await.expect_err("an error");
            assert!(error.message.contains(&format!("the error {kind} was asked for")), "{wire:?}: {error:?}");
            let item = Item::new(&format!("error:{kind}"), 1);
            let error = api.save("hostile", &[item]).await.expect_err("an error");
            assert!(error.message.contains(&format!("the error {kind} was asked for")), "{wire:?}: {error:?}");
        }
    }
}

/// A hundred thousand lines: some are written, the rest is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logs() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let value = sidecar.api(Wire::Grpc).await.get("hostile", "flood").await.expect("an answer").value.expect("a value");
    assert_eq!(value.as_ref(), b"flooded");
    logged(&sidecar, &["component=hostile", "log flood"]).await;
    let written = sidecar.logs().count("of a flood");
    assert!((1..=5_000).contains(&written), "{written} lines were written");
    let dropped = metric(&sidecar, "proa_component_log_dropped_total", &["component=\"hostile\""]).await;
    assert!(dropped > 90_000.0, "{dropped} lines were dropped");
    bystander.end("flood", &format!("{written} lines written, {dropped} dropped"), &mut sidecar).await;
}

/// Metadata with names and values that no header may have: nothing of it becomes a header of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_metadata() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let reply = sidecar.http().request("GET", "/v1.0/state/hostile/odd").try_send().await.expect("an answer");
    assert_eq!(reply.header("etag"), None, "an etag with a line break");
    assert!(reply.headers.len() < 20, "{} headers", reply.headers.len());
    // Over gRPC there is nothing to break out of; it only has to end.
    let over_grpc = sidecar.api(Wire::Grpc).await.get("hostile", "odd").await;
    let outcome =
        format!("HTTP {}, gRPC {}", reply.status, over_grpc.map_or_else(|error| error.message, |found| format!("{} entries", found.metadata.len())));
    bystander.end("odd metadata", &outcome, &mut sidecar).await;
    recovered(&sidecar).await;
}
