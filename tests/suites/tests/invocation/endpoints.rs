//! Services outside as targets: HTTPEndpoint resources and addresses.

use proa_harness::{Answer, App, AppEndpoint, Sidecar};

fn endpoint(base: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {{name: outside}}\nspec:\n  version: v1alpha1\n  baseUrl: {base}\n  headers:\n  \
         - {{name: x-plain, value: set}}\n  - {{name: x-secret, secretKeyRef: {{name: TEST_ENDPOINT_SECRET, key: TEST_ENDPOINT_SECRET}}}}\nauth: {{secretStore: env}}\n"
    )
}

const SECRETS: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: env}\nspec: {type: secretstores.local.env, version: v1}\n";

#[tokio::test]
async fn endpoints_are_called_by_name() {
    let service = App::start().await;
    service.on("/base/echo", |request| Answer { status: 202, body: request.body.clone(), ..Answer::ok() });
    let base = format!("http://127.0.0.1:{}/base", service.port());
    let sidecar = Sidecar::builder().resource(SECRETS).resource(endpoint(&base)).env("TEST_ENDPOINT_SECRET", "hidden").start().await;
    let reply = sidecar.http().request("POST", "/v1.0/invoke/outside/method/echo?q=1").header("x-mine", "1").body("hello").send().await;
    assert_eq!((reply.status, reply.text().as_str()), (202, "hello"));
    let seen = service.requests("/base/echo").remove(0);
    let header = |name: &str| seen.headers.get(name).and_then(|v| v.to_str().ok());
    assert_eq!((header("x-plain"), header("x-secret"), header("x-mine"), seen.query.as_str()), (Some("set"), Some("hidden"), Some("1"), "q=1"));
    assert_eq!(sidecar.http().get("/v1.0/invoke/outside/method/missing").await.status, 404, "the service's own answer");
}

#[tokio::test]
async fn addresses_are_called_as_they_are() {
    let service = App::start().await;
    service.answer("/hello", Answer::ok());
    let sidecar = Sidecar::builder().start().await;
    let (http, port) = (sidecar.http(), service.port());
    assert_eq!(http.get(&format!("/v1.0/invoke/http://127.0.0.1:{port}/method/hello")).await.status, 200);
    assert_eq!(http.get(&format!("/v1.0/invoke/http%3A%2F%2F127.0.0.1%3A{port}/method/hello")).await.status, 200);
    assert_eq!(service.requests("/hello").len(), 2);
    let nobody = http.get("/v1.0/invoke/http://127.0.0.1:1/method/hello").await;
    assert_eq!((nobody.status, nobody.json()["errorCode"].as_str()), (500, Some("ERR_DIRECT_INVOKE")));
}

#[tokio::test]
async fn a_changed_endpoint_is_taken_over() {
    let (before, after) = (App::start().await, App::start().await);
    for service in [&before, &after] {
        service.answer("/x", Answer::ok());
    }
    let base = |app: &App| endpoint(&format!("http://127.0.0.1:{}", app.port()));
    let sidecar = Sidecar::builder().resource(SECRETS).resource_file("e.yaml", base(&before)).start().await;
    assert_eq!(sidecar.http().get("/v1.0/invoke/outside/method/x").await.status, 200);
    sidecar.write_resource("e.yaml", &base(&after));
    proa_harness::until("the new address", std::time::Duration::from_secs(20), || async {
        assert_eq!(sidecar.http().get("/v1.0/invoke/outside/method/x").await.status, 200);
        (!after.requests("/x").is_empty()).then_some(())
    })
    .await;
}
