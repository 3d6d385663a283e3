#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod labels;
mod limits;

use std::time::Duration;

use super::table::Row;
use super::*;

const MS: Duration = Duration::from_millis(1);

fn metrics(change: impl FnOnce(&mut MetricsOptions)) -> Metrics {
    let mut options = MetricsOptions { app_id: "myapp".into(), ..MetricsOptions::default() };
    change(&mut options);
    Metrics::new(options).unwrap()
}

fn default_metrics() -> Metrics {
    metrics(|_| {})
}

#[track_caller]
fn has(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    let name = line.split(['{', ' ']).next().unwrap();
    let close: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
    assert!(text.lines().any(|found| found == line), "no line {line}\nthere are {close:#?}");
}

#[track_caller]
fn lacks(metrics: &Metrics, name: &str) {
    let text = metrics.render();
    let found: Vec<_> = text.lines().filter(|line| line.contains(name)).collect();
    assert!(found.is_empty(), "unexpected {found:#?}");
}

#[test]
fn a_component_call_is_counted_with_its_latency() {
    let metrics = default_metrics();
    let get = metrics.component(Family::State, "mystore", "get");
    get.observe(true, 3 * MS / 2);
    get.observe(true, Duration::ZERO);
    metrics.component(Family::State, "mystore", "get").observe(true, 2500 * MS);
    metrics.component(Family::InputBinding, "cron", "ignored").observe(false, MS);
    metrics.component(Family::PubsubEgress, "mypub", "t1").observe(true, MS / 50);

    let labels = r#"app_id="myapp",component="mystore",namespace="",operation="get",success="true""#;
    has(&metrics, &format!("dapr_component_state_count{{{labels}}} 3"));
    has(&metrics, &format!("dapr_component_state_latencies_bucket{{{labels},le=\"1\"}} 0"));
    has(&metrics, &format!("dapr_component_state_latencies_bucket{{{labels},le=\"2\"}} 1"));
    has(&metrics, &format!("dapr_component_state_latencies_bucket{{{labels},le=\"100000\"}} 2"));
    has(&metrics, &format!("dapr_component_state_latencies_sum{{{labels}}} 2501.5"));
    has(&metrics, &format!("dapr_component_state_latencies_count{{{labels}}} 2"));
    has(&metrics, r#"dapr_component_input_binding_count{app_id="myapp",component="cron",namespace="",success="false"} 1"#);
    has(&metrics, r#"dapr_component_pubsub_egress_count{app_id="myapp",component="mypub",namespace="",success="true",topic="t1"} 1"#);
    lacks(&metrics, "operation=\"get\",success=\"false\"");
}

#[test]
fn deliveries_and_bulk_calls_have_their_own_series() {
    let metrics = metrics(|options| options.namespace = "prod".into());
    metrics.pubsub_ingress("mypub", "t", "drop", "success", 2 * MS);
    metrics.pubsub_ingress("mypub", "t", "retry", "", Duration::ZERO);
    metrics.pubsub_ingress_bulk("mypub", "t", MS);
    metrics.pubsub_ingress_bulk_entries("mypub", "t", "success", 7);
    metrics.pubsub_egress_bulk("mypub", "t", false, 3, MS);
    metrics.job("job_trigger_op", false, MS);

    let common = r#"app_id="myapp",component="mypub",namespace="prod""#;
    has(&metrics, &format!(r#"dapr_component_pubsub_ingress_count{{{common},process_status="drop",status="success",topic="t"}} 1"#));
    has(&metrics, &format!(r#"dapr_component_pubsub_ingress_count{{{common},process_status="retry",status="retry",topic="t"}} 1"#));
    has(&metrics, &format!(r#"dapr_component_pubsub_ingress_bulk_count{{{common},process_status="",topic="t"}} 1"#));
    has(&metrics, &format!(r#"dapr_component_pubsub_ingress_bulk_event_count{{{common},process_status="success",topic="t"}} 7"#));
    has(&metrics, &format!(r#"dapr_component_pubsub_egress_bulk_count{{{common},success="false",topic="t"}} 1"#));
    has(&metrics, &format!(r#"dapr_component_pubsub_egress_bulk_event_count{{{common},success="true",topic="t"}} 3"#));
    has(&metrics, r#"dapr_component_job_failure_count{app_id="myapp",namespace="prod",operation="job_trigger_op"} 1"#);
    lacks(&metrics, "process_status=\"retry\",status=\"retry\",topic=\"t\",le=");
}

#[test]
fn http_series_carry_the_normalised_path() {
    let metrics = default_metrics();
    metrics.http_server("GET", "/v1.0/state/mystore/key", 200, 3 * MS, 0, 10);
    metrics.http_server("FOO", "/v1.0/invoke/myapp/method/hi", 404, MS, 1500, 10);
    metrics.http_client_started("GET", "dapr/config", 0);
    metrics.http_client_completed("GET", "dapr/config", 200, MS, 2);
    metrics.http_probe(500, MS);

    has(&metrics, r#"dapr_http_server_request_count{app_id="myapp",method="GET",path="/v1.0/state/mystore",status="200"} 1"#);
    has(&metrics, r#"dapr_http_server_response_count{app_id="myapp",method="UNKNOWN",path="/v1.0/invoke/myapp/method/hi",status="404"} 1"#);
    has(&metrics, r#"dapr_http_server_request_bytes_sum{app_id="myapp"} 1500"#);
    has(&metrics, r#"dapr_http_server_request_bytes_bucket{app_id="myapp",le="2048"} 2"#);
    has(&metrics, r#"dapr_http_server_response_bytes_count{app_id="myapp"} 2"#);
    has(&metrics, r#"dapr_http_client_completed_count{app_id="myapp",method="GET",path="/dapr/config",status="200"} 1"#);
    has(&metrics, r#"dapr_http_client_sent_bytes_count{app_id="myapp",method="GET",path="/dapr/config",status=""} 1"#);
    has(&metrics, r#"dapr_http_healthprobes_completed_count{app_id="myapp",status="500"} 1"#);
}

#[test]
fn low_cardinality_leaves_the_server_path_empty() {
    let metrics = metrics(|options| options.http.increased_cardinality = false);
    metrics.http_server("GET", "/v1.0/invoke/myapp/method/hi", 200, MS, 0, 0);
    metrics.http_client_completed("GET", "/dapr/config", 200, MS, 2);
    metrics.http_client_completed("GET", "hi", 200, MS, 2);
    has(&metrics, r#"dapr_http_server_request_count{app_id="myapp",method="GET",path="",status="200"} 1"#);
    has(&metrics, r#"dapr_http_client_completed_count{app_id="myapp",method="GET",path="/dapr/config",status="200"} 1"#);
    has(&metrics, r#"dapr_http_client_completed_count{app_id="myapp",method="GET",path="",status="200"} 1"#);
    lacks(&metrics, "dapr_http_server_response_count");
}

#[test]
fn every_row_can_be_recorded_and_names_are_unique() {
    let metrics = default_metrics();
    let registry = metrics.registry.as_ref().unwrap();
    let mut names = std::collections::BTreeSet::new();
    for row in Row::all() {
        assert!(names.insert(row.exposed_name()), "{} twice", row.name);
    }
    let all = [Series::StateCount, Series::WorkflowLockWait, Series::AclAppAllowed, Series::MetricsDropped];
    for series in all {
        let row = &Row::all()[series as usize];
        let values = vec!["x"; row.labels.len()];
        assert!(registry.handles(&[series], &values).is_some(), "{series:?}");
    }
    assert_eq!(Row::all()[Series::MetricsDropped as usize].name, "proa_metrics_dropped_total");
    metrics.shift(Series::ActorPendingCalls, &["Demo"], 3);
    metrics.shift(Series::ActorPendingCalls, &["Demo"], -1);
    has(&metrics, r#"dapr_runtime_actor_pending_actor_calls{actor_type="Demo",app_id="myapp"} 2"#);
}

#[test]
fn rescue_counters_are_exposed_from_the_start() {
    has(&default_metrics(), r#"dapr_runtime_workflow_local_wake_count{app_id="myapp",namespace="",status="janitor_recovered"} 0"#);
}

/// The series that Dapr's three dashboards for Grafana ask of sidecars, without the endings of histograms.
const ON_BOARDS: &[&str] = &[
    "dapr_grpc_io_client_completed_rpcs",
    "dapr_grpc_io_client_roundtrip_latency",
    "dapr_grpc_io_server_completed_rpcs",
    "dapr_grpc_io_server_server_latency",
    "dapr_http_client_completed_count",
    "dapr_http_client_roundtrip_latency",
    "dapr_http_server_latency",
    "dapr_http_server_response_count",
    "dapr_runtime_actor_deactivated_failed_total",
    "dapr_runtime_actor_deactivated_total",
    "dapr_runtime_actor_pending_actor_calls",
    "dapr_runtime_actor_rebalanced_total",
    "dapr_runtime_actor_status_report_fail_total",
    "dapr_runtime_actor_status_report_total",
    "dapr_runtime_actor_table_operation_recv_total",
    "dapr_runtime_component_init_fail_total",
    "dapr_runtime_component_init_total",
    "dapr_runtime_component_loaded",
    "dapr_runtime_mtls_init_fail_total",
    "dapr_runtime_mtls_init_total",
    "dapr_runtime_mtls_workload_cert_rotated_fail_total",
    "dapr_runtime_mtls_workload_cert_rotated_total",
];

#[test]
fn dashboards_find_their_series() {
    let names: std::collections::BTreeSet<String> = Row::all().iter().map(Row::exposed_name).collect();
    let absent: Vec<_> = ON_BOARDS.iter().filter(|name| !names.contains(**name)).collect();
    assert!(absent.is_empty(), "{absent:?}");
    let metrics = default_metrics();
    metrics.count_tasks_with(|| 3);
    let page = metrics.render();
    for name in ["go_goroutines", "go_memstats_alloc_bytes", "process_start_time_seconds", "process_virtual_memory_bytes"] {
        assert!(page.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
    }
}
