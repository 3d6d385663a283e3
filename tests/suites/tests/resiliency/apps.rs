//! Calls of applications. The sidecar calls its own application: policies are the same for every application.

use std::time::{Duration, Instant};

use proa_harness::protocol::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use proa_harness::protocol::runtime::v1::InvokeServiceRequest;
use proa_harness::{Answer, App, Sidecar};
use serde_json::json;
use tonic::Code;

use crate::resiliency;

const POLICIES: &str = "policies:
  timeouts: { short: 300ms }
  retries:
    quick: { policy: constant, duration: 20ms, maxRetries: 3 }
    listed: { policy: constant, duration: 20ms, maxRetries: 3, matching: { httpStatusCodes: \"429,500-599\" } }
    endless: { policy: exponential, maxInterval: 100ms, maxRetries: -1 }
  circuitBreakers:
    second: { maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 2 }
targets:
  apps:
    shop: ";

async fn start(policies: &str) -> (App, Sidecar) {
    let app = App::start().await;
    let resource = resiliency("policies", &format!("{POLICIES}{{ {policies} }}"));
    let sidecar = Sidecar::builder().app_id("shop").app(&app).resource(resource).start().await;
    (app, sidecar)
}

async fn call(sidecar: &Sidecar, method: &str) -> proa_harness::Reply {
    sidecar.http().post(&format!("/v1.0/invoke/shop/method/{method}"), &json!({"n": 1})).await
}

#[tokio::test]
async fn a_failing_answer_is_asked_for_again() {
    let (app, sidecar) = start("retry: quick").await;
    app.answers("/flaky", vec![Answer::status(500), Answer::status(404), Answer::ok().body("done")]);
    let reply = call(&sidecar, "flaky").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "done"));
    let requests = app.requests("/flaky");
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|r| r.json() == json!({"n": 1})), "the body goes along each time");
}

#[tokio::test]
async fn the_last_answer_is_passed_on() {
    let (app, sidecar) = start("retry: quick").await;
    app.answer("/down", Answer::status(503).header("x-why", "tired").body("later"));
    let reply = call(&sidecar, "down").await;
    assert_eq!((reply.status, reply.text().as_str()), (503, "later"));
    assert_eq!(reply.headers.get("x-why").map(|v| v.as_bytes()), Some(b"tired".as_slice()));
    assert_eq!(app.requests("/down").len(), 4);
    for status in [200, 204, 304] {
        let path = format!("/fine{status}");
        app.answer(&path, Answer::status(status));
        assert_eq!(call(&sidecar, path.trim_start_matches('/')).await.status, status);
        assert_eq!(app.requests(&path).len(), 1, "{status} is no failure");
    }
}

#[tokio::test]
async fn only_listed_codes_are_asked_for_again() {
    let (app, sidecar) = start("retry: listed").await;
    for (status, attempts) in [(500, 4), (429, 4), (599, 4), (404, 1), (400, 1)] {
        let path = format!("/p{status}");
        app.answer(&path, Answer::status(status));
        assert_eq!(call(&sidecar, path.trim_start_matches('/')).await.status, status);
        assert_eq!(app.requests(&path).len(), attempts, "{status}");
    }
}

#[tokio::test]
async fn without_a_limit_it_goes_on_until_it_succeeds() {
    let (app, sidecar) = start("retry: endless").await;
    let mut answers = vec![Answer::status(500); 12];
    answers.push(Answer::ok());
    app.answers("/tough", answers);
    assert_eq!(call(&sidecar, "tough").await.status, 200);
    assert_eq!(app.requests("/tough").len(), 13);
}

#[tokio::test]
async fn timeouts_and_breakers_answer_for_the_app() {
    let (app, sidecar) = start("timeout: short, circuitBreaker: second").await;
    app.answer("/slow", Answer::ok().after(Duration::from_secs(10)));
    for _ in 0..2 {
        let begun = Instant::now();
        let reply = call(&sidecar, "slow").await;
        assert_eq!((reply.status, &reply.json()["errorCode"]), (500, &json!("ERR_DIRECT_INVOKE")));
        assert!(reply.text().contains("context deadline exceeded"), "{}", reply.text());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    let reply = call(&sidecar, "slow").await;
    assert_eq!(reply.status, 500);
    assert!(reply.text().contains("circuit breaker is open"), "{}", reply.text());
    assert_eq!(app.requests("/slow").len(), 2);
    app.answer("/other", Answer::ok());
    assert_eq!(call(&sidecar, "other").await.status, 200, "each method has its own breaker");

    let message = Some(InvokeRequest { method: "slow".into(), ..InvokeRequest::default() });
    let status = sidecar.grpc().await.invoke_service(InvokeServiceRequest { id: "shop".into(), message }).await.expect_err("open");
    assert_eq!((status.code(), status.message()), (Code::Unknown, "circuit breaker is open"));
    let metrics = sidecar.metrics().await;
    let labels = r#"app_id="shop",flow_direction="outbound",name="policies",namespace="",policy="circuitbreaker""#;
    assert!(metrics.contains(&format!(r#"dapr_resiliency_activations_total{{{labels},status="open",target="app_shop"}} 1"#)), "{metrics}");
}

#[tokio::test]
async fn grpc_callers_have_the_same_policies() {
    let (app, sidecar) = start("retry: quick").await;
    app.answers("/flaky", vec![Answer::status(500), Answer::status(302), Answer::ok().body("done")]);
    let message = Some(InvokeRequest {
        method: "flaky".into(),
        http_extension: Some(HttpExtension { verb: Verb::Post.into(), ..HttpExtension::default() }),
        ..InvokeRequest::default()
    });
    let reply = sidecar.grpc().await.invoke_service(InvokeServiceRequest { id: "shop".into(), message }).await.expect("the third attempt");
    assert_eq!(reply.into_inner().data.unwrap_or_default().value, b"done");
    assert_eq!(app.requests("/flaky").len(), 3);
}
