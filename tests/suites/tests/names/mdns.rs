//! Multicast DNS, the resolver that needs no configuration. With `PROA_PEER` naming a daprd of Dapr's, the pairs are mixed.

use super::{app, asks};
use proa_harness::{Sidecar, SidecarBuilder, until};
use std::path::PathBuf;
use std::time::Duration;

fn peer(builder: SidecarBuilder) -> SidecarBuilder {
    match std::env::var_os("PROA_PEER") {
        Some(binary) => builder.binary(PathBuf::from(binary)),
        None => builder,
    }
}

/// Ids of this run: other sidecars on the machine are heard too.
fn id(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_find_one_another_both_ways() {
    let (own, other) = (id("own"), id("other"));
    let (one, two) = (app("one").await, app("two").await);
    let first = Sidecar::builder().app_id(&own).app(&one).start().await;
    let second = peer(Sidecar::builder().app_id(&other)).app(&two).start().await;
    assert_eq!(asks(&first, &other).await.as_deref(), Ok("two"));
    assert_eq!(asks(&second, &own).await.as_deref(), Ok("one"));
}

/// Who ends says so: nobody keeps the address until it grows old.
#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_ends_is_forgotten() {
    let leaver = id("leaver");
    let two = app("two").await;
    let caller = Sidecar::builder().app_id(&id("stays")).start().await;
    let callee = peer(Sidecar::builder().app_id(&leaver)).app(&two).start().await;
    assert_eq!(asks(&caller, &leaver).await.as_deref(), Ok("two"));
    callee.stop().await;
    until("it is forgotten", Duration::from_secs(20), || async {
        let reply = caller.http().get(&format!("/v1.0/invoke/{leaver}/method/who")).await;
        reply.text().contains(&format!("couldn't find service: {leaver}")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_one_application_take_turns() {
    let many = id("many");
    let (one, two) = (app("one").await, app("two").await);
    let caller = Sidecar::builder().app_id(&id("caller")).start().await;
    let _first = peer(Sidecar::builder().app_id(&many)).app(&one).start().await;
    let _second = Sidecar::builder().app_id(&many).app(&two).start().await;
    let mut seen = std::collections::BTreeSet::new();
    until("both answered", Duration::from_secs(20), || {
        let call = caller.http();
        let path = format!("/v1.0/invoke/{many}/method/who");
        async move { (call.get(&path).await.status == 200).then_some(()) }
    })
    .await;
    for _ in 0..40 {
        let reply = caller.http().get(&format!("/v1.0/invoke/{many}/method/who")).await;
        seen.insert(reply.text());
        if seen.len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("only {seen:?} answered");
}
