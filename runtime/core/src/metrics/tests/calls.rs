use std::time::Duration;

use super::{MS, default_metrics, has, lacks, metrics};
use crate::metrics::{AclDecision, AclScope, BreakerState, CallShape, Flow, Policy, SwapOutcome};

#[test]
fn grpc_invocation_acl_and_error_codes() {
    let metrics = metrics(|options| options.record_error_codes = true);
    metrics.grpc_server("/dapr.proto.runtime.v1.Dapr/GetState", "OK", MS, 10, 2000);
    metrics.grpc_client("/x.Y/Z", "Unavailable", MS, 10, 0);
    metrics.grpc_probe("OK", MS);
    metrics.invoke_request_sent("other", CallShape::Streaming);
    metrics.invoke_response_received("other", 200, CallShape::Unary, MS);
    metrics.acl(AclScope::Global, AclDecision::Blocked, "caller", "public", "default");
    metrics.error_code("ERR_STATE_STORE_NOT_FOUND", "state");
    metrics.error_code("", "state");

    let method = r#"app_id="myapp",grpc_server_method="/dapr.proto.runtime.v1.Dapr/GetState""#;
    has(&metrics, &format!(r#"dapr_grpc_io_server_completed_rpcs{{{method},grpc_server_status="OK"}} 1"#));
    has(&metrics, &format!(r#"dapr_grpc_io_server_sent_bytes_per_rpc_bucket{{{method},le="2048"}} 1"#));
    has(&metrics, &format!(r#"dapr_grpc_io_server_server_latency_count{{{method},grpc_server_status="OK"}} 1"#));
    has(&metrics, r#"dapr_grpc_io_client_completed_rpcs{app_id="myapp",grpc_client_method="/x.Y/Z",grpc_client_status="Unavailable"} 1"#);
    has(&metrics, r#"dapr_grpc_io_healthprobes_completed_count{app_id="myapp",grpc_client_status="OK"} 1"#);
    has(&metrics, r#"dapr_runtime_service_invocation_req_sent_total{app_id="myapp",dst_app_id="other",type="streaming"} 1"#);
    has(&metrics, r#"dapr_runtime_service_invocation_res_recv_total{app_id="myapp",src_app_id="other",status="200",type="unary"} 1"#);
    has(&metrics, r#"dapr_runtime_service_invocation_res_recv_latency_ms_count{app_id="myapp",src_app_id="other",status="200"} 1"#);
    has(&metrics, r#"dapr_runtime_acl_global_policy_action_blocked_total{app_id="caller",namespace="default",trustDomain="public"} 1"#);
    has(&metrics, r#"dapr_error_code_total{app_id="myapp",category="state",error_code="ERR_STATE_STORE_NOT_FOUND"} 1"#);
    let silent = default_metrics();
    silent.error_code("ERR_STATE_STORE_NOT_FOUND", "state");
    lacks(&silent, "dapr_error_code_total");
}

#[test]
fn a_breaker_has_one_series_per_state() {
    let metrics = default_metrics();
    let breaker = metrics.resiliency("mine", "default", Policy::CircuitBreaker, Flow::Outbound, "app_other");
    breaker.breaker_executed(BreakerState::Open);
    breaker.breaker_state(BreakerState::HalfOpen);
    breaker.breaker_activated(BreakerState::HalfOpen);
    metrics.resiliency("mine", "default", Policy::Retry, Flow::Inbound, "state_db").executed();

    let common = r#"app_id="myapp",flow_direction="outbound",name="mine",namespace="default",policy="circuitbreaker""#;
    for (state, value) in [("open", 0), ("half-open", 1), ("closed", 0), ("unknown", 0)] {
        has(&metrics, &format!(r#"dapr_resiliency_cb_state{{{common},status="{state}",target="app_other"}} {value}"#));
    }
    has(&metrics, &format!(r#"dapr_resiliency_count{{{common},status="open",target="app_other"}} 1"#));
    has(&metrics, &format!(r#"dapr_resiliency_activations_total{{{common},status="half-open",target="app_other"}} 1"#));
    has(
        &metrics,
        r#"dapr_resiliency_count{app_id="myapp",flow_direction="inbound",name="mine",namespace="default",policy="retry",status="",target="state_db"} 1"#,
    );
}

#[test]
fn sandbox_series() {
    let metrics = default_metrics();
    let guest = metrics.guest("mystore", "state.redis");
    guest.calls(1);
    guest.cpu(Duration::from_millis(1500));
    guest.memory(1 << 20);
    guest.memory_changed(-1024);
    guest.trap();
    guest.swap(SwapOutcome::Refused);
    guest.generation(3);
    guest.denied("tcp:10.0.0.1:80");
    guest.log_dropped(5);
    let common = r#"app_id="myapp",component="mystore""#;
    has(&metrics, &format!(r#"proa_component_calls_total{{{common},type="state.redis"}} 1"#));
    has(&metrics, &format!(r#"proa_component_cpu_seconds_total{{{common},type="state.redis"}} 1.5"#));
    has(&metrics, &format!(r#"proa_component_memory_bytes{{{common},type="state.redis"}} 1047552"#));
    has(&metrics, &format!(r#"proa_component_traps_total{{{common},type="state.redis"}} 1"#));
    has(&metrics, &format!(r#"proa_component_swaps_total{{{common},outcome="refused",type="state.redis"}} 1"#));
    has(&metrics, &format!(r#"proa_component_generation{{{common},type="state.redis"}} 3"#));
    has(&metrics, &format!(r#"proa_component_denied_total{{{common},grant="tcp:10.0.0.1:80",type="state.redis"}} 1"#));
    has(&metrics, &format!(r#"proa_component_log_dropped_total{{{common},type="state.redis"}} 5"#));
}
