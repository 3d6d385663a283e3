//! Reaching a Redis that asks for a password, speaks TLS or hides behind a Sentinel.

use proa_harness::redis::SENTINEL_MASTER;
use proa_harness::{Redis, Sidecar, Wire, component};
use serde_json::json;

async fn round_trip(metadata: &[(&str, &str)]) {
    let sidecar = Sidecar::builder().resource(component("store", "state.redis", metadata)).start().await;
    for wire in Wire::BOTH {
        let api = sidecar.api(wire).await;
        api.put("store", "k", json!({"over": format!("{wire:?}")})).await;
        assert_eq!(api.value("store", "k").await["over"], format!("{wire:?}"));
    }
}

#[tokio::test]
async fn with_a_password() {
    let redis = Redis::builder().password("open sesame").start().await;
    let host = redis.host();
    round_trip(&[("redisHost", &host), ("redisPassword", "open sesame")]).await;
    let wrong = component("store", "state.redis", &[("redisHost", &host), ("redisPassword", "wrong")]);
    let stopped = Sidecar::builder().resource(wrong).start_failing().await;
    assert!(stopped.logs.contain("Failed to init component store (state.redis/v1)"), "{}", stopped.logs.text());
    assert!(!stopped.logs.contain("open sesame"));
}

#[tokio::test]
async fn over_tls() {
    let redis = Redis::builder().tls().start().await;
    let host = redis.host();
    round_trip(&[("redisHost", &host), ("enableTLS", "true"), ("insecureSkipTLSVerify", "true")]).await;
    // Nobody signed the server's certificate: without the waiver it is refused.
    let strict = component("store", "state.redis", &[("redisHost", host.as_str()), ("enableTLS", "true"), ("redisMaxRetries", "1")]);
    let stopped = Sidecar::builder().resource(strict).start_failing().await;
    assert!(stopped.logs.contain("Failed to init component store (state.redis/v1)"), "{}", stopped.logs.text());
}

#[tokio::test]
async fn through_a_sentinel() {
    let redis = Redis::builder().sentinel().start().await;
    let host = redis.sentinel_host();
    round_trip(&[("redisHost", &host), ("failover", "true"), ("sentinelMasterName", SENTINEL_MASTER)]).await;
    assert_eq!(redis.command(&["EXISTS", "app||k"]).await.int(), 1);
}

#[tokio::test]
async fn in_a_numbered_database() {
    let redis = Redis::start().await;
    round_trip(&[("redisHost", &redis.host()), ("redisDB", "3")]).await;
    assert_eq!(redis.command(&["DBSIZE"]).await.int(), 0);
}

#[tokio::test]
async fn nobody_at_the_address_stops_the_start() {
    let host = format!("127.0.0.1:{}", proa_harness::free_port());
    let metadata = [("redisHost", host.as_str()), ("redisMaxRetries", "1"), ("dialTimeout", "1s")];
    let stopped = Sidecar::builder().resource(component("store", "state.redis", &metadata)).start_failing().await;
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.logs.contain("Failed to init component store (state.redis/v1)"), "{}", stopped.logs.text());
}
