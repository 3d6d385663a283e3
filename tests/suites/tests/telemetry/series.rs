//! The series that Dapr's dashboards for Grafana ask for, and those of this project, on the page of a sidecar that has done some work.

use proa_harness::{Answer, Api, App, GrpcApp, Item, Sidecar, Wire, against_dapr, component, subscription, until};
use serde_json::json;
use std::time::Duration;

/// Series of the sidecar board that work of an HTTP application brings up.
const OF_HTTP: &[&str] = &[
    "dapr_http_server_latency_bucket",
    "dapr_http_server_request_count",
    "dapr_http_server_response_count",
    "dapr_http_server_request_bytes_bucket",
    "dapr_http_server_response_bytes_bucket",
    "dapr_http_client_completed_count",
    "dapr_http_client_roundtrip_latency_bucket",
    "dapr_http_client_sent_bytes_bucket",
    "dapr_http_client_received_bytes_bucket",
    "dapr_http_healthprobes_completed_count",
    "dapr_http_healthprobes_roundtrip_latency_bucket",
    "dapr_grpc_io_server_completed_rpcs",
    "dapr_grpc_io_server_server_latency_bucket",
    "dapr_grpc_io_server_received_bytes_per_rpc_bucket",
    "dapr_grpc_io_server_sent_bytes_per_rpc_bucket",
    "dapr_component_state_count",
    "dapr_component_state_latencies_bucket",
    "dapr_component_pubsub_egress_count",
    "dapr_component_pubsub_ingress_count",
    "dapr_component_pubsub_ingress_latencies_bucket",
    "dapr_runtime_component_init_total",
    "go_goroutines",
    "go_threads",
    "go_memstats_alloc_bytes",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
];

/// Those that calls to an application over gRPC bring up.
const OF_GRPC: &[&str] = &[
    "dapr_grpc_io_client_completed_rpcs",
    "dapr_grpc_io_client_roundtrip_latency_bucket",
    "dapr_grpc_io_client_sent_bytes_per_rpc_bucket",
    "dapr_grpc_io_client_received_bytes_per_rpc_bucket",
    "dapr_grpc_io_healthprobes_completed_count",
];

/// Those of components, which only this project has.
const OF_COMPONENTS: &[&str] =
    &["proa_component_calls_total", "proa_component_cpu_seconds_total", "proa_component_memory_bytes", "proa_component_generation"];

fn missing(page: &str, names: &[&str]) -> Vec<String> {
    let shown = |name: &str| page.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    names.iter().filter(|name| !shown(name)).map(|name| (*name).to_owned()).collect()
}

async fn shows(sidecar: &Sidecar, names: &[&str]) {
    let deadline = Duration::from_secs(10);
    let page = async {
        until("every series", deadline * 2, || async { missing(&sidecar.metrics().await, names).is_empty().then_some(()) }).await;
    };
    if tokio::time::timeout(deadline, page).await.is_err() {
        panic!("not on the page: {:?}", missing(&sidecar.metrics().await, names));
    }
}

/// Publishes until one more event has arrived: a subscription is shown before the application is known to be healthy, and this broker keeps
/// nothing for it until then.
async fn arrives(api: &Api, events: impl Fn() -> usize) {
    let before = events();
    until("an event", Duration::from_secs(20), || async {
        api.publish("broker", "topic", "hi", "text/plain", &[]).await.expect("published");
        (events() > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_an_http_application() {
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    app.answer("/hello", Answer::ok());
    let builder = Sidecar::builder().app(&app).flag("--enable-app-health-check", "true").flag("--app-health-probe-interval", "1");
    let builder = builder.resource(component("store", "state.in-memory", &[])).resource(component("broker", "pubsub.in-memory", &[]));
    let sidecar = builder.resource(subscription("sub", "broker", "topic", "/events")).start().await;
    sidecar.wait_for_subscriptions(1).await;
    for wire in Wire::BOTH {
        let api = sidecar.api(wire).await;
        api.save("store", &[Item::new("key", json!(1))]).await.expect("saved");
        arrives(&api, || app.requests("/events").len()).await;
    }
    sidecar.http().get("/v1.0/invoke/app/method/hello").await.expect_status(200);
    shows(&sidecar, OF_HTTP).await;
    if !against_dapr() {
        shows(&sidecar, OF_COMPONENTS).await;
    }
}

#[tokio::test]
async fn with_a_grpc_application() {
    let app = GrpcApp::start().await;
    app.subscribe("broker", "topic", "/events");
    let builder = Sidecar::builder().app(&app).flag("--enable-app-health-check", "true").flag("--app-health-probe-interval", "1");
    let sidecar = builder.resource(component("broker", "pubsub.in-memory", &[])).start().await;
    sidecar.wait_for_subscriptions(1).await;
    arrives(&sidecar.api(Wire::Grpc).await, || app.events("/events").len()).await;
    shows(&sidecar, OF_GRPC).await;
}

#[tokio::test]
async fn between_two_sidecars() {
    let app = App::start().await;
    app.answer("/hello", Answer::ok());
    let id = format!("counted-{}", std::process::id());
    let caller = Sidecar::builder().app_id("caller").start().await;
    let callee = Sidecar::builder().app_id(&id).app(&app).start().await;
    caller.http().get(&format!("/v1.0/invoke/{id}/method/hello")).await.expect_status(200);
    let prefix = "dapr_runtime_service_invocation_";
    let sent = [format!("{prefix}req_sent_total"), format!("{prefix}res_recv_total"), format!("{prefix}res_recv_latency_ms_bucket")];
    shows(&caller, &sent.each_ref().map(String::as_str)).await;
    let received = [format!("{prefix}req_recv_total"), format!("{prefix}res_sent_total")];
    shows(&callee, &received.each_ref().map(String::as_str)).await;
}
