//! What callers and applications see of the trace context, without any exporter.

use proa_harness::protocol::common::v1 as common;
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Answer, App, Sidecar, Wire, against_dapr, component, configuration, until};
use std::time::Duration;

use crate::{TRACE, called, traceparent};

over_both_wires!(malformed_baggage_is_refused, baggage_reaches_the_application_and_the_caller, a_malformed_parent_harms_nothing);

async fn invoke(sidecar: &Sidecar, wire: Wire, name: &str, value: &str) -> Result<Option<String>, String> {
    match wire {
        Wire::Http => {
            let request = sidecar.http().request("POST", &format!("/v1.0/invoke/{}/method/hello", sidecar.app_id())).header(name, value);
            let reply = request.send().await;
            if reply.status == 200 { Ok(reply.header(name)) } else { Err(format!("{} {}", reply.status, reply.text())) }
        }
        Wire::Grpc => {
            let extension = Some(common::HttpExtension { verb: common::http_extension::Verb::Post.into(), querystring: String::new() });
            let message = Some(common::InvokeRequest { method: "hello".into(), http_extension: extension, ..Default::default() });
            let mut request = proa_harness::grpc::Request::new(pb::InvokeServiceRequest { id: sidecar.app_id().into(), message });
            let name: &'static str = name.to_owned().leak();
            request.metadata_mut().insert(name, value.parse().expect("a header"));
            let reply = sidecar.grpc().await.invoke_service(request).await.map_err(|status| format!("{:?} {}", status.code(), status.message()))?;
            Ok(reply.metadata().get(name).map(|v| v.to_str().expect("text").to_owned()))
        }
    }
}

async fn app() -> App {
    let app = App::start().await;
    app.answer("/hello", Answer::ok());
    app
}

async fn malformed_baggage_is_refused(wire: Wire) {
    let app = app().await;
    let sidecar = Sidecar::builder().app(&app).start().await;
    let refused = invoke(&sidecar, wire, "baggage", "no-pair").await.expect_err("a refusal");
    let expected = if wire == Wire::Http { "400 invalid baggage header" } else { "InvalidArgument invalid baggage header" };
    assert!(refused.starts_with(expected), "{refused}");
    assert!(app.requests("/hello").is_empty());
}

async fn baggage_reaches_the_application_and_the_caller(wire: Wire) {
    let app = app().await;
    let sidecar = Sidecar::builder().app(&app).start().await;
    let answered = invoke(&sidecar, wire, "baggage", "user=ann%20b,tier=1;p=2").await.expect("an answer");
    assert_eq!(answered.as_deref(), Some("user=ann%20b,tier=1;p=2"));
    assert_eq!(app.requests("/hello")[0].header("baggage").as_deref(), Some("user=ann%20b,tier=1;p=2"));
}

async fn a_malformed_parent_harms_nothing(wire: Wire) {
    let app = app().await;
    let sidecar = Sidecar::builder().app(&app).config(configuration("  tracing:\n    samplingRate: \"1\"")).start().await;
    invoke(&sidecar, wire, "traceparent", "00-zz-zz-01").await.expect("an answer");
    let told = app.requests("/hello")[0].header("traceparent").expect("a parent");
    assert!(told.ends_with("-01") && told.len() == 55, "{told}");
    if against_dapr() {
        return; // Dapr does not count them
    }
    let line = "proa_trace_context_dropped_total{app_id=\"app\",header=\"traceparent\"} 1";
    until(line, Duration::from_secs(5), || async { sidecar.metrics().await.contains(line).then_some(()) }).await;
}

#[tokio::test]
async fn callers_are_told_of_the_span() {
    let sidecar = Sidecar::builder().resource(component("store", "state.in-memory", &[])).start().await;
    let http = sidecar.http();
    let reply = http.request("GET", "/v1.0/state/store/key").header("traceparent", &traceparent()).send().await;
    assert_eq!(reply.header("traceparent"), Some(traceparent()), "without configuration what came is handed on");
    let reply = http.get("/v1.0/state/store/key").await;
    assert_eq!(reply.header("traceparent").as_deref(), Some("00-00000000000000000000000000000000-0000000000000000-00"));
    assert_eq!(http.get("/v1.0/healthz").await.header("traceparent"), None);
    let request = called(pb::GetStateRequest { store_name: "store".into(), key: "key".into(), ..Default::default() });
    let reply = sidecar.grpc().await.get_state(request).await.expect("an answer");
    let told = reply.metadata().get_bin("grpc-trace-bin").expect("a context").to_bytes().expect("bytes");
    let trace: String = told.iter().skip(2).take(16).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((told.len(), trace.as_str()), (29, TRACE));
}

#[tokio::test]
async fn a_rate_of_zero_is_off() {
    let sidecar = Sidecar::builder().config(configuration("  tracing:\n    samplingRate: \"0\"")).start().await;
    let reply = sidecar.http().request("GET", "/v1.0/metadata").header("traceparent", &traceparent()).header("baggage", "bad").send().await;
    assert_eq!((reply.status, reply.header("traceparent")), (200, None));
}
