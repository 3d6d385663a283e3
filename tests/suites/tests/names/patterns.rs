//! Resolvers that make the address from a pattern. The host part is the application's id here: `localhost`.

use super::{app, asks, chooses, sidecar};
use proa_harness::Sidecar;

async fn finds(resolver: impl Fn(u16) -> String) {
    let callee = app("there").await;
    let there = Sidecar::builder().app_id("localhost").app(&callee).start().await;
    let caller = sidecar("caller", &resolver(there.ports().internal)).start().await;
    assert_eq!(asks(&caller, "localhost").await.as_deref(), Ok("there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nameformat_fills_in_the_id() {
    finds(|port| chooses("nameformat", &format!("{{format: \"{{appid}}:{port}\"}}"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_takes_a_template() {
    finds(|port| chooses("kubernetes", &format!("{{template: \"{{{{.ID}}}}:{port}\"}}"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_looks_for_the_service() {
    let caller = sidecar("caller", &chooses("kubernetes", "{clusterDomain: cluster.invalid}")).start().await;
    let reply = caller.http().get("/v1.0/invoke/callee.elsewhere/method/who").await;
    let text = reply.text();
    assert!(text.contains("failed to resolve address for 'callee-dapr.elsewhere.svc.cluster.invalid'"), "{text}");
}
