//! What a sidecar tells about its work: traces from caller to component and application, the series that dashboards look for, the log
//! of API calls.

/// One test per transport for each case `async fn case(wire: Wire)`.
macro_rules! over_both_wires {
    ($($case:ident),* $(,)?) => {
        mod http {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Http).await })*
        }
        mod grpc {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Grpc).await })*
        }
    };
}

#[path = "telemetry/exporters.rs"]
mod exporters;
#[path = "telemetry/headers.rs"]
mod headers;
#[path = "telemetry/logs.rs"]
mod logs;
#[path = "telemetry/series.rs"]
mod series;
#[path = "telemetry/traces.rs"]
mod traces;

use proa_harness::{Collector, Sidecar, SidecarBuilder, configuration};

/// The caller's span in every case.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const PARENT: &str = "00f067aa0ba902b7";

/// A sampled `traceparent`.
pub fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A sidecar that traces everything to a collector, without delay.
pub fn traced_to(collector: &Collector) -> SidecarBuilder {
    let otel = format!("endpointAddress: {}\n      protocol: grpc\n      isSecure: false", collector.address());
    let tracing = format!("  tracing:\n    samplingRate: \"1\"\n    otel:\n      {otel}");
    Sidecar::builder().config(configuration(&tracing)).env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

/// A request with the caller's span.
pub fn called<T>(message: T) -> proa_harness::grpc::Request<T> {
    let mut request = proa_harness::grpc::Request::new(message);
    request.metadata_mut().insert("traceparent", traceparent().parse().expect("a header"));
    request
}
