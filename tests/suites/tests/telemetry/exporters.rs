//! The ways out: protocols, headers, names from the environment, Zipkin, the log; collectors that fail; the end of the sidecar.

use proa_harness::collector::spans_of;
use proa_harness::{Answer, App, AppEndpoint, Collector, Sidecar, SidecarBuilder, against_dapr, configuration, free_port, until};
use serde_json::json;
use std::time::{Duration, Instant};

use crate::{TRACE, traced_to, traceparent};

fn exporting(lines: &str) -> SidecarBuilder {
    Sidecar::builder().config(configuration(&format!("  tracing:\n    samplingRate: \"1\"\n{lines}"))).env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

async fn call(sidecar: &Sidecar) {
    sidecar.http().request("GET", "/v1.0/metadata").header("traceparent", &traceparent()).send().await.expect_status(200);
}

#[tokio::test]
async fn configured_headers_and_names_of_the_environment() {
    let collector = Collector::start().await;
    let otel = format!("    otel:\n      endpointAddress: {}\n      protocol: grpc\n      isSecure: false\n", collector.address());
    let builder = exporting(&format!("{otel}      headers: [\"x-mine=configured\"]"));
    let builder = builder.env("OTEL_EXPORTER_OTLP_HEADERS", "x-env=1").env("OTEL_SERVICE_NAME", "named");
    let sidecar = builder.env("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=production").start().await;
    call(&sidecar).await;
    let span = collector.named("/v1.0/metadata").await;
    let resource = |name: &str| span.resource.get(name).map(String::as_str);
    assert_eq!((resource("service.name"), resource("service.namespace")), (Some("named"), Some("production")));
    assert_eq!((collector.header("x-mine").as_deref(), collector.header("x-env")), (Some("configured"), None));
}

#[tokio::test]
async fn the_environment_alone_is_enough() {
    let collector = Collector::start().await;
    let builder = Sidecar::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.address()));
    let builder = builder.env("OTEL_EXPORTER_OTLP_INSECURE", "true").env("OTEL_EXPORTER_OTLP_HEADERS", "x-env=a%20b");
    let sidecar = builder.env("OTEL_BSP_SCHEDULE_DELAY", "50").start().await;
    call(&sidecar).await;
    assert_eq!(collector.named("/v1.0/metadata").await.trace, TRACE);
    assert_eq!(collector.header("x-env").as_deref(), Some("a b"));
}

#[tokio::test]
async fn over_http() {
    let collector = App::start().await;
    collector.answer("/v1/traces", Answer::ok());
    let otel = format!("    otel:\n      endpointAddress: 127.0.0.1:{}\n      protocol: http\n      isSecure: false\n", collector.port());
    let sidecar = exporting(&format!("{otel}      headers: [\"x-mine=1\"]")).start().await;
    call(&sidecar).await;
    let export = collector.wait_for("/v1/traces", 1).await.remove(0);
    assert_eq!(export.header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(export.header("x-mine").as_deref(), Some("1"));
    assert!(spans_of(&export.body).iter().any(|span| span.name == "/v1.0/metadata" && span.trace == TRACE));
}

#[tokio::test]
async fn to_zipkin() {
    let collector = App::start().await;
    collector.answer("/api/v2/spans", Answer::status(202));
    let zipkin = format!("    zipkin:\n      endpointAddress: http://127.0.0.1:{}/api/v2/spans", collector.port());
    let sidecar = exporting(&zipkin).start().await;
    call(&sidecar).await;
    let export = collector.wait_for("/api/v2/spans", 1).await.remove(0).json();
    let spans = export.as_array().expect("a list");
    let span = spans.iter().find(|span| span["traceId"] == TRACE).expect("the span");
    assert_eq!((&span["kind"], &span["localEndpoint"]["serviceName"]), (&json!("CLIENT"), &json!("app")));
    assert_eq!(span["tags"]["dapr.api"], json!("GET /v1.0/metadata"));
    assert!(span["timestamp"].as_u64().is_some_and(|t| t > 1_700_000_000_000_000) && span["duration"].is_u64(), "{span}");
}

#[tokio::test]
async fn to_the_log() {
    let sidecar = exporting("    stdout: true").start().await;
    call(&sidecar).await;
    sidecar.logs_contain(&format!("[/v1.0/metadata] Trace: {TRACE} Span: ")).await;
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    // Far longer than the case lasts.
    let sidecar = traced_to(&collector).env("OTEL_BSP_SCHEDULE_DELAY", "600000").start().await;
    call(&sidecar).await;
    assert!(collector.spans().is_empty());
    sidecar.stop().await;
    assert!(collector.spans().iter().any(|span| span.trace == TRACE), "{:?}", collector.spans());
}

#[tokio::test]
async fn a_collector_that_is_not_there_slows_nothing_down() {
    let sidecar = exporting(&format!(
        "    otel:\n      endpointAddress: 127.0.0.1:{}\n      protocol: grpc\n      isSecure: false\n      timeout: 1s",
        free_port()
    ))
    .start()
    .await;
    let begun = Instant::now();
    for _ in 0..20 {
        call(&sidecar).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    sidecar.logs_contain("traces export: ").await;
    if !against_dapr() {
        let dropped = "proa_trace_spans_dropped_total{app_id=\"app\",reason=\"export_failed\"}";
        until(dropped, Duration::from_secs(10), || async { sidecar.metrics().await.contains(dropped).then_some(()) }).await;
    }
    let begun = Instant::now();
    sidecar.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_unknown_protocol_ends_the_start() {
    let stopped = exporting("    otel:\n      endpointAddress: localhost:1\n      protocol: smoke\n      isSecure: false").start_failing().await;
    assert!(stopped.logs.contain("invalid protocol smoke provided for Otel endpoint"), "{}", stopped.logs.text());
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_waited() {
    let app = App::start().await;
    app.answers("/v1/traces", vec![Answer::status(503), Answer::status(503), Answer::ok()]);
    let otel = format!("    otel:\n      endpointAddress: 127.0.0.1:{}\n      protocol: http\n      isSecure: false", app.port());
    let sidecar = exporting(&otel).start().await;
    call(&sidecar).await;
    let exports = app.wait_for("/v1/traces", 3).await;
    assert_eq!(exports[0].body, exports[2].body);
}
