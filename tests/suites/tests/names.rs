//! Name resolution: applications find one another by the resolver that the Configuration chooses, over HTTP and gRPC; what is cached is let
//! go when it fails; what was announced is taken back at the end.

#[path = "names/consul.rs"]
mod consul;
#[path = "names/failures.rs"]
mod failures;
#[path = "names/mdns.rs"]
mod mdns;
#[path = "names/patterns.rs"]
mod patterns;
#[path = "names/sqlite.rs"]
mod sqlite;

use proa_harness::protocol::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use proa_harness::protocol::runtime::v1::InvokeServiceRequest;
use proa_harness::{Answer, App, Sidecar, SidecarBuilder};

/// An application that answers `/who` with its name.
pub async fn app(name: &str) -> App {
    let app = App::start().await;
    app.answer("/who", Answer { body: name.to_owned().into(), ..Answer::ok() });
    app
}

/// A Configuration that chooses a resolver; `settings` is YAML in one line.
pub fn chooses(component: &str, settings: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: names\nspec:\n  nameResolution:\n    component: {component}\n    configuration: {settings}\n"
    )
}

/// A sidecar with this resolver.
pub fn sidecar(app_id: &str, configuration: &str) -> SidecarBuilder {
    Sidecar::builder().app_id(app_id).config(configuration)
}

/// Asks `callee` for its name over both transports.
pub async fn asks(caller: &Sidecar, callee: &str) -> Result<String, String> {
    let reply = caller.http().get(&format!("/v1.0/invoke/{callee}/method/who")).await;
    let over_http = if reply.status == 200 { Ok(reply.text()) } else { Err(reply.text()) };
    let request = InvokeServiceRequest {
        id: callee.to_owned(),
        message: Some(InvokeRequest {
            method: "who".into(),
            http_extension: Some(HttpExtension { verb: Verb::Get as i32, querystring: String::new() }),
            ..InvokeRequest::default()
        }),
    };
    let over_grpc = caller.grpc().await.invoke_service(request).await;
    match (over_http, over_grpc) {
        (Ok(http), Ok(grpc)) => {
            let data = grpc.into_inner().data.map(|data| data.value).unwrap_or_default();
            assert_eq!(http.as_bytes(), data, "the transports differ");
            Ok(http)
        }
        (Err(why), Err(_)) => Err(why),
        (http, grpc) => panic!("the transports differ: {http:?}, {grpc:?}"),
    }
}
