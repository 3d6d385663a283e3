//! Calls of components, and what components bring: an output binding that calls a web server, and a schedule.

use std::time::{Duration, Instant};

use proa_harness::{Answer, App, AppEndpoint, Sidecar, Wire, component, stays};
use serde_json::json;
use tonic::Code;

use crate::resiliency;

over_both_wires!(
    a_call_is_tried_again_until_it_succeeds,
    a_call_that_keeps_failing_tells_the_last_failure,
    a_slow_call_ends_at_its_timeout,
    an_open_breaker_refuses_at_once,
    defaults_apply_by_their_name,
);

const POLICIES: &str = "policies:
  timeouts: { short: 300ms }
  retries:
    quick: { policy: constant, duration: 20ms, maxRetries: 3 }
  circuitBreakers:
    second: { maxRequests: 1, timeout: 2s, trip: consecutiveFailures >= 2 }
targets:
  components:
    web: { outbound: ";

/// A web server, and a sidecar whose binding `web` calls it under these policies.
async fn start(outbound: &str) -> (App, Sidecar) {
    let web = App::start().await;
    let url = format!("http://127.0.0.1:{}", web.port());
    let policies = resiliency("policies", &format!("{POLICIES}{{ {outbound} }} }}"));
    let sidecar = Sidecar::builder().resource(component("web", "bindings.http", &[("url", &url)])).resource(policies).start().await;
    (web, sidecar)
}

async fn a_call_is_tried_again_until_it_succeeds(wire: Wire) {
    let (web, sidecar) = start("retry: quick").await;
    web.answers("/flaky", vec![Answer::status(500), Answer::status(503), Answer::ok().body("at last")]);
    let api = sidecar.api(wire).await;
    let reply = api.invoke_binding("web", "post", json!("x"), &[("path", "/flaky")]).await.expect("the third attempt");
    assert_eq!(reply.data, "at last");
    assert_eq!(web.requests("/flaky").len(), 3);
    sidecar.logs_contain("Error processing operation component[web] output. Retrying in 20ms").await;
    sidecar.logs_contain("Recovered processing operation component[web] output after 3 attempts").await;
}

async fn a_call_that_keeps_failing_tells_the_last_failure(wire: Wire) {
    let (web, sidecar) = start("retry: quick").await;
    web.answer("/down", Answer::status(500));
    let api = sidecar.api(wire).await;
    let error = api.invoke_binding("web", "post", json!("x"), &[("path", "/down")]).await.expect_err("four failures");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("500");
    assert_eq!(web.requests("/down").len(), 4);
}

async fn a_slow_call_ends_at_its_timeout(wire: Wire) {
    let (web, sidecar) = start("timeout: short").await;
    web.answer("/slow", Answer::ok().after(Duration::from_secs(5)));
    let api = sidecar.api(wire).await;
    let begun = Instant::now();
    let error = api.invoke_binding("web", "post", json!("x"), &[("path", "/slow")]).await.expect_err("too slow");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("context deadline exceeded");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    web.answer("/quick", Answer::ok());
    api.invoke_binding("web", "post", json!("x"), &[("path", "/quick")]).await.expect("the component serves on");
}

async fn an_open_breaker_refuses_at_once(wire: Wire) {
    let (web, sidecar) = start("circuitBreaker: second").await;
    web.answers("/broken", vec![Answer::status(500), Answer::status(500), Answer::ok()]);
    let api = sidecar.api(wire).await;
    let call = async || api.invoke_binding("web", "post", json!("x"), &[("path", "/broken")]).await;
    for _ in 0..2 {
        call().await.expect_err("the server fails");
    }
    let error = call().await.expect_err("open");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("circuit breaker is open");
    assert_eq!(web.requests("/broken").len(), 2, "the server was spared");
    sidecar.logs_contain("Circuit breaker \\\"second-web\\\" changed state from closed to open").await;
    tokio::time::sleep(Duration::from_millis(2200)).await;
    call().await.expect("half open lets one through, which closes it");
    call().await.expect("closed");
}

async fn defaults_apply_by_their_name(wire: Wire) {
    let web = App::start().await;
    web.answer("/down", Answer::status(500));
    let url = format!("http://127.0.0.1:{}", web.port());
    let spec = "policies:\n  retries:\n    DefaultRetryPolicy: { duration: 10ms, maxRetries: 9 }\n    DefaultBindingComponentOutboundRetryPolicy: { duration: 10ms, maxRetries: 1 }\n";
    let sidecar =
        Sidecar::builder().resource(component("web", "bindings.http", &[("url", &url)])).resource(resiliency("defaults", spec)).start().await;
    sidecar.api(wire).await.invoke_binding("web", "post", json!("x"), &[("path", "/down")]).await.expect_err("it fails");
    assert_eq!(web.requests("/down").len(), 2);
}

#[tokio::test]
async fn an_event_is_handed_over_again() {
    let app = App::start().await;
    app.answers("/ticks", vec![Answer::status(500), Answer::status(503), Answer::ok()]);
    let spec =
        "policies:\n  retries:\n    quick: { duration: 20ms, maxRetries: 5 }\ntargets:\n  components:\n    ticks: { inbound: { retry: quick } }\n";
    let ticks = component("ticks", "bindings.cron", &[("schedule", "@every 3s"), ("direction", "input")]);
    let _sidecar = Sidecar::builder().resource(ticks).resource(resiliency("policies", spec)).app(&app).start().await;
    app.wait_for("/ticks", 3).await;
    stays("no attempt after the one that succeeded", Duration::from_secs(1), || app.requests("/ticks").len() == 3).await;
}
