//! Health, shutdown, starts that must fail.

use std::time::Duration;

use proa_harness::{Sidecar, Wire, component, until};
use serde_json::json;

over_both_wires!(the_api_can_end_the_sidecar);

async fn the_api_can_end_the_sidecar(wire: Wire) {
    let sidecar = Sidecar::builder().start().await;
    sidecar.api(wire).await.shutdown().await.expect("shutdown");
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("Shutdown requested via API"), "{}", stopped.logs.text());
}

#[tokio::test]
async fn a_forced_shutdown_exits_with_one() {
    let sidecar = Sidecar::builder().start().await;
    sidecar.http().request("POST", "/v1.0/shutdown").header("dapr-force-shutdown", "true").send().await.expect_status(204);
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(1), "{}", stopped.logs.text());
}

#[tokio::test]
async fn signals_end_it_gracefully_and_free_the_ports() {
    let sidecar = Sidecar::builder().resource(component("store", "state.in-memory", &[])).start().await;
    let ports = sidecar.ports();
    let stopped = sidecar.stop().await;
    assert!(stopped.logs.contain("Daprd shutdown gracefully"), "{}", stopped.logs.text());
    for port in [ports.http, ports.grpc, ports.internal, ports.metrics] {
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|failure| panic!("port {port} is not free: {failure}"));
    }
    let sidecar = Sidecar::builder().start().await;
    sidecar.signal(libc::SIGTERM);
    assert_eq!(sidecar.ended().await.code, Some(0));
}

#[tokio::test]
async fn health_is_a_status_without_a_body() {
    let sidecar = Sidecar::builder().app_id("mine").start().await;
    let http = sidecar.http();
    for path in ["/v1.0/healthz", "/v1.0/healthz/outbound", "/v1.0/healthz?appid=mine"] {
        assert_eq!(http.get(path).await.expect_status(204).text(), "");
    }
    let reply = http.get("/v1.0/healthz?appid=other").await.expect_status(500).json();
    assert_eq!(reply, json!({"errorCode": "ERR_HEALTH_APPID_NOT_MATCH", "message": "dapr app-id does not match"}));
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_json() {
    let sidecar = Sidecar::builder().start().await;
    let http = sidecar.http();
    for (method, path) in [("GET", "/v1.0/nothing"), ("GET", "/"), ("DELETE", "/v1.0/metadata"), ("POST", "/v1.0/healthz")] {
        let reply = http.request(method, path).send().await.expect_status(404);
        assert_eq!(reply.json()["errorCode"], "ERR_DIRECT_INVOKE", "{method} {path}");
    }
}

#[tokio::test]
async fn metrics_are_served() {
    let sidecar = Sidecar::builder().resource(component("store", "state.in-memory", &[])).start().await;
    sidecar.api(Wire::Http).await.put("store", "k", 1).await;
    until("the state metric", Duration::from_secs(10), || async {
        let page = sidecar.metrics().await;
        page.lines()
            .any(|line| line.starts_with("dapr_component_state_count{") && line.contains("operation=\"set\"") && line.ends_with(" 1"))
            .then_some(())
    })
    .await;
    assert!(sidecar.metrics().await.contains("dapr_runtime_component_init_total"));
}

#[tokio::test]
async fn an_unknown_component_type_stops_the_start() {
    let stopped = Sidecar::builder().resource(component("odd", "state.no-such-thing", &[])).start_failing().await;
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.logs.contain("Fatal error from runtime"), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("couldn't find"), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("state.no-such-thing"), "{}", stopped.logs.text());
}

#[tokio::test]
async fn a_component_that_cannot_start_stops_the_start_unless_ignored() {
    let missing = component("file", "secretstores.local.file", &[("secretsFile", "does-not-exist.json")]);
    let stopped = Sidecar::builder().resource(missing.clone()).start_failing().await;
    assert_eq!(stopped.code, Some(1));
    let wanted = "Failed to init component file (secretstores.local.file/v1)";
    assert!(stopped.logs.contain(wanted), "{}", stopped.logs.text());

    let ignored = missing.replace("  version: v1\n", "  version: v1\n  ignoreErrors: true\n");
    let sidecar = Sidecar::builder().resource(ignored).start().await;
    sidecar.logs_contain(wanted).await;
    sidecar.logs_contain("Ignoring error processing component").await;
}

#[tokio::test]
async fn two_components_of_one_name_stop_the_start() {
    let stopped = Sidecar::builder()
        .resource(component("foo", "state.in-memory", &[]))
        .resource(component("foo", "pubsub.in-memory", &[]))
        .start_failing()
        .await;
    assert_eq!(stopped.code, Some(1));
    assert!(
        stopped.logs.contain("duplicate definition of Component name foo (pubsub.in-memory/v1) with existing foo (state.in-memory/v1)"),
        "{}",
        stopped.logs.text()
    );
}

#[tokio::test]
async fn a_component_scoped_to_others_is_left_out() {
    let scoped = format!("{}scopes: [other]\n", component("theirs", "state.in-memory", &[]));
    let sidecar = Sidecar::builder().app_id("me").resource(scoped).resource(component("mine", "state.in-memory", &[])).start().await;
    let metadata = sidecar.api(Wire::Http).await.metadata().await.expect("metadata");
    let names: Vec<&str> = metadata["components"].as_array().expect("components").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["mine"]);
}
