//! A resolver that does not start is told in the log, and the sidecar runs on without one.

use super::{asks, chooses, sidecar};

async fn fails(component: &str, settings: &str, log: &str) {
    let sidecar = sidecar("alone", &chooses(component, settings)).start().await;
    sidecar.logs_contain(log).await;
    let why = asks(&sidecar, "other").await.expect_err("there is no resolver");
    assert!(why.contains("name resolver not initialized"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_implements_it() {
    let log = "[CREATE_COMPONENT_FAILURE]: initialization error occurred for nr (oracle/v1): couldn't find name resolver oracle/v1";
    fails("oracle", "{}", log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_has_no_place_for_the_id() {
    let log = "[INIT_COMPONENT_FAILURE]: initialization error occurred for nr (nameformat/v1): format must contain {appid} placeholder";
    fails("nameformat", "{format: plain}", log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_not_named() {
    let log = "[INIT_COMPONENT_FAILURE]: initialization error occurred for nr (sqlite/v1): missing connection string";
    fails("sqlite", "{}", log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interval_is_shorter_than_the_timeout() {
    let log = "nr (sqlite/v1): update interval must be at least 1s greater than timeout";
    fails("sqlite", "{connectionString: names.db, updateInterval: 2s, timeout: 2s}", log).await;
}
