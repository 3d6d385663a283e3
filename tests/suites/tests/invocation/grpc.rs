//! `InvokeService`, and applications that speak gRPC called by those that speak HTTP.

use proa_harness::protocol::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use proa_harness::protocol::runtime::v1::InvokeServiceRequest;
use proa_harness::{Answer, App, GrpcApp};
use tonic::Code;

use crate::pair::Pair;

over_every_pair!(grpc_calls_grpc, grpc_calls_http, http_calls_grpc);

fn request(id: &str, method: &str, verb: Verb, data: &[u8]) -> InvokeServiceRequest {
    let message = InvokeRequest {
        method: method.into(),
        data: Some(Default::default()),
        content_type: "text/plain".into(),
        http_extension: Some(HttpExtension { verb: verb.into(), querystring: String::new() }),
    };
    let mut request = InvokeServiceRequest { id: id.into(), message: Some(message) };
    if let Some(message) = request.message.as_mut().and_then(|m| m.data.as_mut()) {
        message.value = data.to_vec();
    }
    request
}

async fn grpc_calls_grpc(with: Pair) {
    let app = GrpcApp::start().await;
    let two = with.start(&app).await;
    let answer = two.caller.grpc().await.invoke_service(request(two.callee(), "m", Verb::None, b"hello")).await.expect("answer").into_inner();
    assert_eq!((answer.data.unwrap_or_default().value.as_slice(), answer.content_type.as_str()), (b"hello".as_slice(), "text/plain"));
}

async fn grpc_calls_http(with: Pair) {
    let app = App::start().await;
    app.on("/echo", |request| Answer { body: request.body.clone(), ..Answer::ok() });
    let two = with.start(&app).await;
    let mut grpc = two.caller.grpc().await;
    let answer = grpc.invoke_service(request(two.callee(), "echo", Verb::Post, b"hello")).await.expect("answer");
    assert_eq!(answer.metadata().get("dapr-http-status").and_then(|v| v.to_str().ok()), Some("200"));
    assert_eq!(answer.into_inner().data.unwrap_or_default().value, b"hello");
    let missing = grpc.invoke_service(request(two.callee(), "missing", Verb::Get, b"")).await.expect_err("no such path");
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "Not Found"));
}

async fn http_calls_grpc(with: Pair) {
    let app = GrpcApp::start().await;
    let two = with.start(&app).await;
    let path = format!("/v1.0/invoke/{}/method/m", two.callee());
    let reply = two.caller.http().request("POST", &path).header("content-type", "text/plain").body("hello").send().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
}
