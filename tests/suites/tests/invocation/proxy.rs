//! Services that no sidecar knows, passed on by the application id in the metadata.

use futures::stream;
use proa_harness::grpc::channel;
use proa_harness::streams::{DETAILS, call, collect};
use proa_harness::{GrpcApp, Sidecar};
use tonic::Code;

use crate::pair::{Pair, Two, unique};

over_every_pair!(all_kinds_of_streams, metadata_pass, failures_pass, messages_have_a_limit, cancelling_reaches_the_app);

async fn pair(pair: Pair) -> (GrpcApp, Two) {
    let app = GrpcApp::start().await;
    let two = pair.start(&app).await;
    (app, two)
}

fn parts(parts: &[&str]) -> stream::Iter<std::vec::IntoIter<Vec<u8>>> {
    stream::iter(parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>())
}

async fn all_kinds_of_streams(with: Pair) {
    let (_app, two) = pair(with).await;
    let (to, sidecar) = ([("dapr-app-id", two.callee())], channel(two.caller.ports().grpc).await);
    let ask = async |method: &str, requests: &[&str]| collect(call(sidecar.clone(), method, &to, parts(requests)).await).await.expect(method);
    assert_eq!(ask("Echo", &["one"]).await, [b"one"]);
    assert_eq!(ask("Collect", &["one", "two", "three"]).await, [b"onetwothree"]);
    assert_eq!(ask("Count", &["go"]).await.len(), 100);
    assert_eq!(ask("Echo", &["one", "two", ""]).await, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
    // An answer comes while the request is still open.
    let (send, requests) = tokio::sync::mpsc::unbounded_channel();
    let requests = stream::unfold(requests, |mut requests| async { requests.recv().await.map(|message| (message, requests)) });
    send.send(b"first".to_vec()).expect("open");
    let mut answers = call(sidecar.clone(), "Echo", &to, requests).await.expect("headers").into_inner();
    assert_eq!(answers.message().await.expect("answer").as_deref(), Some(b"first".as_slice()));
    send.send(b"second".to_vec()).expect("open");
    assert_eq!(answers.message().await.expect("answer").as_deref(), Some(b"second".as_slice()));
    drop(send);
    assert_eq!(answers.message().await.expect("end"), None);
}

async fn metadata_pass(with: Pair) {
    let (app, two) = pair(with).await;
    let metadata = [("dapr-app-id", two.callee()), ("x-mine", "yes"), ("dapr-api-token", "secret")];
    let answer = call(channel(two.caller.ports().grpc).await, "Echo", &metadata, parts(&["a"])).await.expect("answer");
    assert_eq!(answer.metadata().get("x-answer").and_then(|v| v.to_str().ok()), Some("of the app"));
    let seen = app.streams().seen().remove(0);
    let text = |name: &str| seen.get(name).and_then(|v| v.to_str().ok());
    assert_eq!((text("x-mine"), text("dapr-app-id"), text("dapr-api-token")), (Some("yes"), None, None));
    assert_eq!((text("dapr-caller-app-id"), text("dapr-callee-app-id")), (Some(two.caller.app_id()), Some(two.callee())));
}

async fn failures_pass(with: Pair) {
    let (_app, two) = pair(with).await;
    let sidecar = channel(two.caller.ports().grpc).await;
    let status = collect(call(sidecar.clone(), "Fail", &[("dapr-app-id", two.callee())], parts(&["a"])).await).await.expect_err("the app fails");
    assert_eq!((status.code(), status.message(), status.details()), (Code::Aborted, "no: 100%", DETAILS));
    assert_eq!(status.metadata().get("x-reason").and_then(|v| v.to_str().ok()), Some("told"));
    let nobody = collect(call(sidecar.clone(), "Echo", &[], parts(&["a"])).await).await.expect_err("nobody is named");
    let text = "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata";
    assert_eq!((nobody.code(), nobody.message()), (Code::Unknown, text));
    let unknown = collect(call(sidecar, "Echo", &[("dapr-app-id", &unique("nobody"))], parts(&["a"])).await).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::Unknown, "{unknown}");
}

async fn messages_have_a_limit(with: Pair) {
    let (_app, two) = pair(with).await;
    let (to, sidecar) = ([("dapr-app-id", two.callee())], channel(two.caller.ports().grpc).await);
    // Dapr's callee looks its own name up before it passes a call on, and may not find it in its first second: a small call is tried again.
    assert_eq!(collect(call(sidecar.clone(), "Echo", &to, parts(&["a"])).await).await.expect("the pair stands"), [b"a"]);
    let large = stream::iter([vec![1_u8; 5 << 20]]);
    let sent = collect(call(sidecar.clone(), "Collect", &to, large).await).await.expect_err("too large");
    assert_eq!(sent.code(), Code::ResourceExhausted, "{sent}");
    let received = collect(call(sidecar.clone(), "Large", &to, parts(&["a"])).await).await.expect_err("too large");
    assert_eq!(received.code(), Code::ResourceExhausted, "{received}");
    assert_eq!(collect(call(sidecar, "Echo", &to, parts(&["a"])).await).await.expect("others go on"), [b"a"]);
}

async fn cancelling_reaches_the_app(with: Pair) {
    let (app, two) = pair(with).await;
    let mut answers =
        call(channel(two.caller.ports().grpc).await, "Wait", &[("dapr-app-id", two.callee())], parts(&["a"])).await.expect("headers").into_inner();
    assert_eq!(answers.message().await.expect("answer").as_deref(), Some(b"waiting".as_slice()));
    drop(answers);
    app.streams().cancelled(1).await;
}

#[tokio::test]
async fn the_sidecars_own_application_is_reached_with_its_token() {
    let app = GrpcApp::start().await;
    let sidecar = Sidecar::builder().app_id(&unique("own")).app(&app).env("APP_API_TOKEN", "apps").start().await;
    let to = [("dapr-app-id", sidecar.app_id())];
    assert_eq!(collect(call(channel(sidecar.ports().grpc).await, "Echo", &to, parts(&["a"])).await).await.expect("answer"), [b"a"]);
    assert_eq!(app.streams().seen().remove(0).get("dapr-api-token").and_then(|v| v.to_str().ok()), Some("apps"));
}
