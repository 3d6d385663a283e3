//! Access control lists, which the callee applies. Without certificates the general action counts.

use proa_harness::grpc::channel;
use proa_harness::protocol::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use proa_harness::protocol::runtime::v1::InvokeServiceRequest;
use proa_harness::streams::{call, collect};
use proa_harness::{Answer, App, GrpcApp, Sidecar};
use tonic::Code;

use crate::pair::Pair;

over_every_pair!(http_is_denied, grpc_is_denied);

fn list(action: &str) -> String {
    format!("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: c}}\nspec:\n  accessControl:\n    defaultAction: {action}\n")
}

async fn http_is_denied(with: Pair) {
    let app = App::start().await;
    app.answer("/open", Answer::ok());
    let two = with.start_with(&app, |caller| caller, |callee| callee.config(list("deny"))).await;
    for method in ["open", "x/../open", "open%2Fx", "%2e%2e/open", "//open"] {
        let denied = two.caller.http().get(&format!("/v1.0/invoke/{}/method/{method}", two.callee())).await;
        assert_eq!(denied.status, 403, "{method}: {}", denied.text());
        assert!(denied.text().contains("access control policy has denied access to id:  operation: "), "{}", denied.text());
    }
    assert!(app.requests("/open").is_empty());
    let own = two.callee.http().get(&format!("/v1.0/invoke/{}/method/open", two.callee())).await;
    assert_eq!(own.status, 200, "an application may call itself");
}

async fn grpc_is_denied(with: Pair) {
    let app = GrpcApp::start().await;
    let two = with.start_with(&app, |caller| caller, |callee| callee.config(list("deny"))).await;
    let message = InvokeRequest {
        method: "m".into(),
        http_extension: Some(HttpExtension { verb: Verb::Post.into(), querystring: String::new() }),
        ..Default::default()
    };
    let request = InvokeServiceRequest { id: two.callee().into(), message: Some(message) };
    let denied = two.caller.grpc().await.invoke_service(request).await.expect_err("denied");
    assert!(denied.message().contains("access control policy has denied access to id:  operation: m verb: NONE"), "{denied}");
    let to = [("dapr-app-id", two.callee())];
    let requests = futures::stream::iter([b"a".to_vec()]);
    let denied = collect(call(channel(two.caller.ports().grpc).await, "Echo", &to, requests).await).await.expect_err("denied");
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    assert_eq!(denied.message(), "access control policy has denied access to id:  operation: /test.Streams/Echo verb: NONE");
    assert!(app.streams().seen().is_empty());
}

#[tokio::test]
async fn a_policy_that_is_about_nobody_ends_the_sidecar() {
    let config = format!("{}    policies:\n    - appId: a\n      defaultAction: allow\n", list("deny"));
    let stopped = Sidecar::builder().config(config).start_failing().await;
    let log = stopped.logs.text();
    assert!(log.contains("invalid access control spec. missing trustdomain for apps: [a]"), "{log}");
}
