//! The key as the store sees it: looked at in Redis itself.

use proa_harness::{Redis, Sidecar, Wire, component};
use serde_json::json;

over_both_wires!(
    the_default_prefix_is_the_app_id,
    the_prefix_can_be_the_component_name,
    the_prefix_can_be_the_namespace,
    the_prefix_can_be_left_out,
    the_prefix_can_be_anything,
    apps_share_or_do_not_share_by_prefix,
);

/// Writes `k` through a sidecar called `writer` and gives the key found in Redis.
async fn key_written(wire: Wire, strategy: Option<&str>, environment: &[(&str, &str)]) -> String {
    let redis = Redis::start().await;
    let host = redis.host();
    let mut metadata = vec![("redisHost", host.as_str())];
    metadata.extend(strategy.map(|strategy| ("keyPrefix", strategy)));
    let mut builder = Sidecar::builder().app_id("writer").resource(component("the-store", "state.redis", &metadata));
    for (name, value) in environment {
        builder = builder.env(name, value);
    }
    let sidecar = builder.start().await;
    let api = sidecar.api(wire).await;
    api.put("the-store", "k", "v").await;
    assert_eq!(api.value("the-store", "k").await, json!("v"));
    let rows = api.bulk_get("the-store", &["k"]).await.expect("bulk get");
    assert_eq!((rows[0].key.as_str(), rows[0].value.clone()), ("k", Some(json!("v"))));
    let keys = redis.command(&["KEYS", "*"]).await.texts();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].clone()
}

async fn the_default_prefix_is_the_app_id(wire: Wire) {
    assert_eq!(key_written(wire, None, &[]).await, "writer||k");
    assert_eq!(key_written(wire, Some("appid"), &[]).await, "writer||k");
}

async fn the_prefix_can_be_the_component_name(wire: Wire) {
    assert_eq!(key_written(wire, Some("name"), &[]).await, "the-store||k");
}

async fn the_prefix_can_be_the_namespace(wire: Wire) {
    assert_eq!(key_written(wire, Some("namespace"), &[("NAMESPACE", "blue")]).await, "blue.writer||k");
}

async fn the_prefix_can_be_left_out(wire: Wire) {
    assert_eq!(key_written(wire, Some("none"), &[]).await, "k");
}

async fn the_prefix_can_be_anything(wire: Wire) {
    assert_eq!(key_written(wire, Some("mine"), &[]).await, "mine||k");
}

async fn apps_share_or_do_not_share_by_prefix(wire: Wire) {
    let redis = Redis::start().await;
    let host = redis.host();
    let resources = [
        component("own", "state.redis", &[("redisHost", &host)]),
        component("shared", "state.redis", &[("redisHost", &host), ("keyPrefix", "name")]),
    ]
    .join("---\n");
    let one = Sidecar::builder().app_id("one").resource(resources.clone()).start().await;
    let two = Sidecar::builder().app_id("two").resource(resources).start().await;
    let (one, two) = (one.api(wire).await, two.api(wire).await);
    one.put("own", "k", 1).await;
    one.put("shared", "k", 2).await;
    assert!(two.value("own", "k").await.is_null());
    assert_eq!(two.value("shared", "k").await, json!(2));
}
