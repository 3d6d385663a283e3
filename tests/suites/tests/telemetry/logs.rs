//! The log of API calls: when it is on, what it leaves out, what a line has.

use proa_harness::{Sidecar, SidecarBuilder, Wire, component, configuration, stays};
use serde_json::Value;
use std::time::Duration;

over_both_wires!(calls_are_logged_when_it_is_on);

fn with_store() -> SidecarBuilder {
    Sidecar::builder().log_level("info").resource(component("store", "state.in-memory", &[]))
}

async fn get(sidecar: &Sidecar, wire: Wire) {
    let _ = sidecar.api(wire).await.get("store", "key").await;
}

async fn calls_are_logged_when_it_is_on(wire: Wire) {
    let sidecar = with_store().flag("--enable-api-logging", "true").flag("--log-as-json", "true").start().await;
    get(&sidecar, wire).await;
    let (message, method) = match wire {
        Wire::Http => ("HTTP API Called", "GET /v1.0/state/store/key"),
        Wire::Grpc => ("gRPC API Called", "/dapr.proto.runtime.v1.Dapr/GetState"),
    };
    sidecar.logs_contain(method).await;
    let text = sidecar.logs().text();
    let line = text.lines().find(|line| line.contains(message) && line.contains(method)).unwrap_or_else(|| panic!("no line in {text}"));
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&line["level"], &line["type"], &line["app_id"], &line["method"]), (&"info".into(), &"log".into(), &"app".into(), &method.into()));
    assert!(line["code"].is_number() && line["duration"].is_number(), "{line}");
    for field in ["time", "instance", "scope", "ver"] {
        assert!(line[field].is_string(), "{field} of {line}");
    }
}

#[tokio::test]
async fn calls_are_not_logged_by_default() {
    let sidecar = with_store().start().await;
    for wire in Wire::BOTH {
        get(&sidecar, wire).await;
    }
    stays("no line", Duration::from_millis(300), || !sidecar.logs().contain("API Called")).await;
}

#[tokio::test]
async fn paths_and_health_checks_can_be_left_out() {
    let logging = "  logging:\n    apiLogging:\n      enabled: true\n      obfuscateURLs: true\n      omitHealthChecks: true";
    let sidecar = with_store().config(configuration(logging)).start().await;
    sidecar.http().get("/v1.0/healthz").await;
    get(&sidecar, Wire::Http).await;
    sidecar.logs_contain("method=GetState").await;
    let log = sidecar.logs().text();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("API Called")).collect();
    assert!(lines.iter().all(|line| !line.contains("/v1.0/") && !line.contains("Healthz")), "{lines:#?}");
}
