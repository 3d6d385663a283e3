//! Proxied calls under Resiliency resources of the calling sidecar.

use std::time::{Duration, Instant};

use futures::stream;
use proa_harness::grpc::channel;
use proa_harness::streams::{call, collect};
use proa_harness::{Answer, App, AppEndpoint, GrpcApp, Sidecar};
use tonic::{Code, Status};

use crate::pair::{Pair, Two, unique};

over_every_pair!(
    failures_are_tried_again_with_the_request,
    the_last_failure_is_passed_on,
    only_listed_codes_are_tried_again,
    attempts_have_a_time,
    breakers_open,
    streams_outlive_the_timeout,
    several_messages_are_refused_where_one_would_be_tried_again,
    nothing_is_tried_again_after_a_message,
);

const POLICIES: &str = "apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: { name: policies }
spec:
  policies:
    timeouts: { short: 500ms }
    retries:
      quick: { policy: constant, duration: 20ms, maxRetries: 3 }
      listed: { policy: constant, duration: 20ms, maxRetries: 3, matching: { gRPCStatusCodes: \"1,13-14\" } }
    circuitBreakers:
      second: { maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 2 }
  targets:
    apps: ";

/// Two sidecars, the calling one with `policies` for the callee.
async fn start(pair: Pair, policies: &str) -> (GrpcApp, Two) {
    let (app, callee) = (GrpcApp::start().await, unique("callee"));
    let resource = format!("{POLICIES}{{ {callee}: {{ {policies} }} }}\n");
    let two = pair.start_with(&app, |caller| caller.resource(resource), |sidecar| sidecar.app_id(&callee)).await;
    (app, two)
}

async fn ask(two: &Two, method: &str, metadata: &[(&'static str, &str)], parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, Status> {
    let metadata: Vec<_> = metadata.iter().copied().chain([("dapr-app-id", two.callee())]).collect();
    let requests: Vec<_> = parts.iter().map(|part| part.to_vec()).collect();
    collect(call(channel(two.caller.ports().grpc).await, method, &metadata, stream::iter(requests)).await).await
}

/// The calling sidecar is one under test. What only it promises is not asked of Dapr's.
fn is_ours(with: Pair) -> bool {
    with != Pair::CalledByThePeer && !proa_harness::against_dapr()
}

async fn failures_are_tried_again_with_the_request(with: Pair) {
    let (app, two) = start(with, "retry: quick").await;
    let large = vec![7_u8; 1 << 20];
    for (key, late, body) in [("early", None, b"body".as_slice()), ("late", Some(("x-late", "1")), b"body"), ("large", None, &large)] {
        let metadata: Vec<_> = [("x-key", key), ("x-failures", "2")].into_iter().chain(late).collect();
        assert_eq!(ask(&two, "Flaky", &metadata, &[body]).await.expect(key), [body], "{key}");
        assert_eq!(app.streams().seen().iter().filter(|seen| seen.get("x-key").is_some_and(|k| k == key)).count(), 3, "{key}");
    }
}

async fn the_last_failure_is_passed_on(with: Pair) {
    let (app, two) = start(with, "retry: quick").await;
    for late in [None, Some(("x-late", "1"))] {
        let key = unique("key");
        let metadata: Vec<_> = [("x-key", key.as_str()), ("x-failures", "9"), ("x-code", "9")].into_iter().chain(late).collect();
        let status = ask(&two, "Flaky", &metadata, &[b"body"]).await.expect_err("every attempt fails");
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "attempt 4"));
        assert_eq!(status.metadata().get("x-reason").and_then(|v| v.to_str().ok()), Some("told"));
    }
    assert_eq!(app.streams().seen().len(), 8);
}

async fn only_listed_codes_are_tried_again(with: Pair) {
    let (app, two) = start(with, "retry: listed").await;
    for (code, attempts) in [("1", 4), ("13", 4), ("2", 1), ("5", 1)] {
        let before = app.streams().seen().len();
        let key = unique("key");
        let status = ask(&two, "Flaky", &[("x-key", &key), ("x-failures", "9"), ("x-code", code)], &[b"body"]).await.expect_err(code);
        assert_eq!((status.code() as i32).to_string(), code);
        assert_eq!(app.streams().seen().len() - before, attempts, "{code}");
    }
}

async fn attempts_have_a_time(with: Pair) {
    let (app, two) = start(with, "timeout: short").await;
    let begun = Instant::now();
    let status = ask(&two, "Flaky", &[("x-failures", "1"), ("x-slow", "1")], &[b"body"]).await.expect_err("too slow");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(app.streams().seen().len(), 1);
    let status = ask(&two, "Wait", &[], &[b"body"]).await.expect_err("it goes on for ever");
    assert_eq!(status.code(), Code::DeadlineExceeded, "a call that began to answer has no longer: {status}");
    app.streams().cancelled(1).await;

    let (app, two) = start(with, "timeout: short, retry: quick").await;
    assert_eq!(ask(&two, "Flaky", &[("x-failures", "1"), ("x-slow", "1")], &[b"body"]).await.expect("the second attempt"), [b"body"]);
    assert_eq!(app.streams().seen().len(), 2);
}

async fn breakers_open(with: Pair) {
    let (app, two) = start(with, "circuitBreaker: second").await;
    for _ in 0..2 {
        assert_eq!(ask(&two, "Flaky", &[("x-failures", "9")], &[b"body"]).await.expect_err("fails").code(), Code::Unavailable);
    }
    let status = ask(&two, "Flaky", &[("x-failures", "9")], &[b"body"]).await.expect_err("open");
    assert_eq!((status.code(), status.message()), (Code::Unknown, "circuit breaker is open"));
    assert_eq!(app.streams().seen().len(), 2);
    assert_eq!(ask(&two, "Echo", &[], &[b"body"]).await.expect("each method has its own breaker"), [b"body"]);
}

async fn streams_outlive_the_timeout(with: Pair) {
    let (_app, two) = start(with, "timeout: short, retry: quick").await;
    let (send, requests) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let requests = stream::unfold(requests, |mut requests| async {
        let message = requests.recv().await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        Some((message, requests))
    });
    send.send(b"first".to_vec()).expect("open");
    let metadata = [("dapr-app-id", two.callee()), ("dapr-stream", "true")];
    let mut answers = call(channel(two.caller.ports().grpc).await, "Echo", &metadata, requests).await.expect("headers").into_inner();
    assert_eq!(answers.message().await.expect("answer").as_deref(), Some(b"first".as_slice()));
    for message in [b"second".as_slice(), b"third"] {
        send.send(message.to_vec()).expect("open");
        assert_eq!(answers.message().await.expect("answer").as_deref(), Some(message));
    }
    drop(send);
    assert_eq!(answers.message().await.expect("end"), None);
}

async fn several_messages_are_refused_where_one_would_be_tried_again(with: Pair) {
    let (app, two) = start(with, "retry: quick").await;
    // Dapr as the callee looks for itself on its first call, and for good if that is cancelled.
    assert_eq!(ask(&two, "Echo", &[], &[b"body"]).await.expect("one message"), [b"body"]);
    let parts: [&[u8]; 3] = [b"one", b"two", b"three"];
    let status = ask(&two, "Flaky", &[("x-failures", "2")], &parts).await.expect_err("a stream that does not say so");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "cannot use resiliency policies with retries on streaming RPCs"));
    assert!(app.streams().seen().len() <= 2, "it is not tried again");
    assert_eq!(ask(&two, "Flaky", &[("dapr-stream", "true")], &parts).await.expect("a stream that says so"), [b"onetwothree"]);
}

async fn nothing_is_tried_again_after_a_message(with: Pair) {
    if !is_ours(with) {
        return;
    }
    let (app, two) = start(with, "retry: quick").await;
    let answer = call(channel(two.caller.ports().grpc).await, "Partial", &[("dapr-app-id", two.callee())], stream::iter([b"a".to_vec()])).await;
    let mut answers = answer.expect("headers").into_inner();
    assert_eq!(answers.message().await.expect("answer").as_deref(), Some(b"part".as_slice()));
    assert_eq!(answers.message().await.expect_err("broke off").message(), "broke off");
    assert_eq!(app.streams().seen().len(), 1);
}

#[tokio::test]
async fn the_sidecars_own_application_is_called_once() {
    let (app, id) = (GrpcApp::start().await, unique("own"));
    let sidecar = Sidecar::builder().app_id(&id).app(&app).resource(format!("{POLICIES}{{ {id}: {{ retry: quick }} }}\n")).start().await;
    let metadata = [("dapr-app-id", id.as_str()), ("x-failures", "1")];
    let status = collect(call(channel(sidecar.ports().grpc).await, "Flaky", &metadata, stream::iter([b"a".to_vec()])).await).await;
    assert_eq!(status.expect_err("fails").message(), "attempt 1");
    assert_eq!(app.streams().seen().len(), 1);
}

#[tokio::test]
async fn services_outside_are_called_under_policies() {
    let service = App::start().await;
    let base = format!("http://127.0.0.1:{}", service.port());
    let resource = format!("{POLICIES}{{ outside: {{ retry: quick }}, \"{base}\": {{ retry: quick, timeout: short }} }}\n");
    let endpoint = format!("apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {{name: outside}}\nspec: {{baseUrl: \"{base}\"}}\n");
    let sidecar = Sidecar::builder().resource(resource).resource(endpoint).start().await;
    for (path, target) in [("/named", "outside"), ("/addressed", base.as_str())] {
        service.answers(path, vec![Answer::status(500), Answer::status(503), Answer::ok().body("done")]);
        let reply = sidecar.http().request("POST", &format!("/v1.0/invoke/{target}/method{path}")).body("hello").send().await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "done"), "{target}");
        let requests = service.requests(path);
        assert_eq!(requests.len(), 3, "{target}");
        assert!(requests.iter().all(|request| request.text() == "hello"), "{target}");
    }
    service.answers("/slow", vec![Answer::ok().after(Duration::from_secs(60)), Answer::ok().body("done")]);
    assert_eq!(sidecar.http().get(&format!("/v1.0/invoke/{base}/method/slow")).await.text(), "done");
    service.aborted("/slow").await;
}
