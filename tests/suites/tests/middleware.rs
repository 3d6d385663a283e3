//! HTTP middleware over the wire: stages work in the order of the configuration, before the API (`httpPipeline`) and before the
//! app (`appHttpPipeline`), and bodies pass them whole and at once. What streaming costs is proved in the tests of the host.

#[allow(dead_code)] // each suite uses its part
#[path = "shared/guests.rs"]
mod guests;

use proa_harness::{Answer, App, Sidecar, Wire, against_dapr, component, configuration, subscription};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use guests::{sidecar, with_guest};

/// A pipeline of `handlers`, each a name and the end of its type.
fn pipeline(which: &str, handlers: &[(&str, &str)]) -> String {
    let list: String = handlers.iter().map(|(name, kind)| format!("      - name: {name}\n        type: middleware.http.{kind}\n")).collect();
    configuration(&format!("  {which}:\n    handlers:\n{list}"))
}

fn store() -> String {
    component("store", "state.in-memory", &[])
}

fn alias() -> String {
    component("alias", "middleware.http.routeralias", &[("routes", r#"{"/shop/{key}": "/v1.0/state/store/key"}"#)])
}

fn checker(rule: &str) -> String {
    component("checker", "middleware.http.routerchecker", &[("rule", rule)])
}

fn upper(direction: &str) -> String {
    component("upper", "middleware.http.uppercase", &[("direction", direction)])
}

async fn chain(handlers: &[(&str, &str)]) -> Sidecar {
    let sidecar = sidecar()
        .config(pipeline("httpPipeline", handlers))
        .resource(store())
        .resource(alias())
        .resource(checker("^/v1\\.0/"))
        .resource(upper("response"))
        .start()
        .await;
    // Over gRPC there is no middleware.
    sidecar.api(Wire::Grpc).await.put("store", "key", "a value").await;
    sidecar
}

#[tokio::test]
async fn three_stages_in_order() {
    let (alias, checker, upper) = (("alias", "routeralias"), ("checker", "routerchecker"), ("upper", "uppercase"));
    // The path is rewritten before it is checked; the answer meets the stages in the opposite order.
    let sidecar = chain(&[alias, checker, upper]).await;
    let reply = sidecar.http().get("/shop/anything").await.expect_status(200);
    assert_eq!(reply.text(), "\"A VALUE\"");
    sidecar.http().get("/elsewhere").await.expect_status(400);
    // Checked before it is rewritten: the same path is refused.
    let sidecar = chain(&[checker, alias, upper]).await;
    sidecar.http().get("/shop/anything").await.expect_status(400);
    let reply = sidecar.http().get("/v1.0/state/store/key").await.expect_status(200);
    assert_eq!(reply.text(), "\"A VALUE\"");
}

/// A handler without a component is passed over.
#[tokio::test]
async fn a_stage_that_is_not_there() {
    let sidecar = chain(&[("nobody", "uppercase"), ("alias", "routeralias")]).await;
    assert_eq!(sidecar.http().get("/shop/x").await.expect_status(200).text(), "\"a value\"");
}

/// Sixteen MiB up and down again, through stages that look at heads and one that changes the body on its way back.
#[tokio::test]
async fn large_bodies_arrive_whole() {
    let sidecar = sidecar()
        .config(pipeline("httpPipeline", &[("checker", "routerchecker"), ("alias", "routeralias"), ("upper", "uppercase")]))
        .flag("--max-body-size", "64Mi")
        .resource(store())
        .resource(alias())
        .resource(checker("^/v1\\.0/"))
        .resource(upper("response"))
        .start()
        .await;
    let text: String = (0..16 << 20).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    sidecar.http().post("/v1.0/state/store", &json!([{ "key": "large", "value": text }])).await.expect_status(204);
    let stored = sidecar.api(Wire::Grpc).await.value("store", "large").await;
    assert!(stored == text.as_str(), "what was stored differs");
    let read = sidecar.http().get("/v1.0/state/store/large").await.expect_status(200).json();
    assert!(read == text.to_uppercase(), "what was read differs");
}

/// Deliveries pass the other pipeline on their way to the app, and the app's answers on their way back.
#[tokio::test]
async fn before_the_app() {
    let app = App::start().await;
    app.answer("/inbox", Answer::ok());
    let routes = component("routes", "middleware.http.routeralias", &[("routes", r#"{"/events": "/inbox"}"#)]);
    let sidecar = sidecar()
        .config(pipeline("appHttpPipeline", &[("routes", "routeralias"), ("checker", "routerchecker"), ("upper", "uppercase")]))
        .resource(component("broker", "pubsub.in-memory", &[]))
        .resource(subscription("orders", "broker", "orders", "/events"))
        .resource(routes)
        .resource(checker("^/(inbox|dapr/|healthz)"))
        .resource(upper("response"))
        .app(&app)
        .start()
        .await;
    sidecar.wait_for_subscriptions(1).await;
    let api = sidecar.api(Wire::Http).await;
    api.publish("broker", "orders", "hello", "text/plain", &[]).await.expect("publish");
    let event = app.wait_for("/inbox", 1).await.remove(0).json();
    assert_eq!(event["data"], "hello");
    assert!(app.requests("/events").is_empty());
}

/// The first event of a stream is with the client while the stage still writes the others.
#[tokio::test]
async fn events_arrive_one_by_one() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar()
        .config(pipeline("httpPipeline", &[("checker", "routerchecker"), ("stage", "hostile")]))
        .resource(checker("^/v1\\.0/"))
        .resource(with_guest(&component("stage", "middleware.http.hostile", &[]), "hostile-middleware"))
        .start()
        .await;
    let mut together = 0;
    // A busy machine may deliver all of them in one piece now and then; a stage that holds them back always does.
    for _ in 0..5 {
        let mut stream = TcpStream::connect(("127.0.0.1", sidecar.ports().http)).await.expect("connection");
        stream.write_all(b"GET /v1.0/metadata HTTP/1.1\r\nhost: localhost\r\nx-hostile: sse\r\nconnection: close\r\n\r\n").await.expect("sent");
        let (mut text, mut buffer, mut first) = (String::new(), vec![0; 4096], None);
        loop {
            let count = stream.read(&mut buffer).await.expect("read");
            if count == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            if first.is_none() && text.contains("event 0") {
                first = Some(text.contains("event 4"));
            }
        }
        assert!(text.contains("event 4") && text.ends_with("0\r\n\r\n"), "{text}");
        if first == Some(false) {
            return;
        }
        together += 1;
    }
    panic!("the events came together {together} times");
}
