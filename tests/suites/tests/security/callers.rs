//! One call of many brings the instance down: all the others get an answer, whichever it is, and none is lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proa_harness::{Item, Wire, against_dapr};

use crate::bystander::{Bystander, neighbour};
use crate::guests::sidecar;
use crate::stores::{hostile, recovered};

const OTHERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(20);

/// Sixteen calls are in flight when `key` strikes.
async fn struck_by(key: &str) {
    if against_dapr() {
        return;
    }
    let mut sidecar = sidecar().resource(neighbour()).resource(hostile(&[("mark", "well")])).start().await;
    recovered(&sidecar).await;
    let bystander = Bystander::begin(&sidecar).await;
    let mut calls = Vec::new();
    for number in 0..OTHERS {
        let api = sidecar.api(Wire::BOTH[number % 2]).await;
        calls.push(tokio::spawn(async move {
            let begun = Instant::now();
            // Half of them read, half of them write; all of them take longer than the blow.
            let outcome = if number % 4 < 2 {
                api.get("hostile", "slow:300").await.map(drop)
            } else {
                api.save("hostile", &[Item::new("slow:301", number)]).await
            };
            (outcome.is_ok(), begun.elapsed())
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let api = sidecar.api(Wire::Grpc).await;
    let blow = tokio::time::timeout(LIMIT, api.get("hostile", key)).await.expect("an answer");
    assert!(blow.is_err(), "{key}: {blow:?}");
    let mut outcomes: BTreeMap<bool, u32> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for call in calls {
        let (good, took) = tokio::time::timeout(LIMIT, call).await.expect("an answer for everybody").expect("a caller");
        *outcomes.entry(good).or_default() += 1;
        longest = longest.max(took);
    }
    let count = |good| outcomes.get(&good).copied().unwrap_or(0);
    let outcome = format!("{OTHERS} others in flight: {} succeeded, {} failed, the last after {longest:.2?}", count(true), count(false));
    bystander.end(&format!("{key} among others"), &outcome, &mut sidecar).await;
    recovered(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap() {
    struck_by("trap").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop() {
    struck_by("spin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_returns() {
    struck_by("never").await;
}

/// One caller after another asks for a trap: those who ask for nothing bad are served in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_caller_after_another() {
    if against_dapr() {
        return;
    }
    let mut sidecar = sidecar().resource(neighbour()).resource(hostile(&[("mark", "well")])).start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let bad = sidecar.api(Wire::Grpc).await;
    let attacker = tokio::spawn(async move {
        for _ in 0..10 {
            let _ = bad.get("hostile", "trap").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let good = sidecar.api(Wire::Http).await;
    let (mut served, mut refused) = (0u32, 0u32);
    while !attacker.is_finished() {
        match good.get("hostile", "mark").await {
            Ok(_) => served += 1,
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bystander.end("ten traps in a row", &format!("others: {served} served, {refused} refused"), &mut sidecar).await;
    assert!(served > 0, "nobody was served");
    recovered(&sidecar).await;
}
