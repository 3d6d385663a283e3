//! One trace from the caller through the sidecar to the component, the broker, the application, another sidecar.

use proa_harness::protocol::common::v1 as common;
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Answer, App, Collector, GrpcApp, Sidecar, Wire, against_dapr, component, subscription};
use serde_json::json;

use crate::{PARENT, TRACE, called, traced_to, traceparent};

over_both_wires!(
    a_call_is_a_span_of_its_callers_trace,
    a_component_call_is_a_span_inside,
    a_failure_is_told,
    events_carry_the_trace_to_the_application,
    events_of_one_bulk_have_parents_of_their_own,
    what_is_not_sampled_is_not_exported,
);

async fn get_state(sidecar: &Sidecar, wire: Wire, store: &str) {
    match wire {
        Wire::Http => {
            let request = sidecar.http().request("GET", &format!("/v1.0/state/{store}/key")).header("traceparent", &traceparent());
            request.header("dapr-wish", "seen").send().await;
        }
        Wire::Grpc => {
            let mut request = called(pb::GetStateRequest { store_name: store.into(), key: "key".into(), ..Default::default() });
            request.metadata_mut().insert("dapr-wish", "seen".parse().expect("a header"));
            let _ = sidecar.grpc().await.get_state(request).await;
        }
    }
}

fn state_span(wire: Wire, store: &str) -> String {
    match wire {
        Wire::Http => format!("/v1.0/state/{store}/key"),
        Wire::Grpc => "/dapr.proto.runtime.v1.Dapr/GetState".into(),
    }
}

async fn a_call_is_a_span_of_its_callers_trace(wire: Wire) {
    let collector = Collector::start().await;
    let sidecar = traced_to(&collector).app_id("traced").resource(component("store", "state.in-memory", &[])).start().await;
    get_state(&sidecar, wire, "store").await;
    let span = collector.named(&state_span(wire, "store")).await;
    assert_eq!((&*span.trace, &*span.parent, span.kind, &span.error), (TRACE, PARENT, 3, &None));
    let attribute = |name: &str| span.attributes.get(name).map(String::as_str);
    assert_eq!((attribute("db.system"), attribute("db.name"), attribute("db.connection_string")), (Some("state"), Some("store"), Some("state")));
    assert_eq!(attribute("dapr-wish"), Some("seen"));
    assert_eq!(span.resource.get("service.name").map(String::as_str), Some("traced"));
    match wire {
        Wire::Http => {
            assert_eq!((attribute("dapr.protocol"), attribute("dapr.status_code")), (Some("http"), Some("204")));
            assert_eq!(attribute("dapr.api"), Some("GET /v1.0/state/store/key"));
            assert_eq!((attribute("http.request.method"), attribute("url.full")), (Some("GET"), Some("/v1.0/state/store/key")));
            assert_eq!(attribute("server.address"), Some("127.0.0.1"));
            assert!(attribute("server.port").is_some());
        }
        Wire::Grpc => {
            assert_eq!((attribute("dapr.protocol"), attribute("rpc.service")), (Some("grpc"), Some("Dapr")));
            assert_eq!(attribute("dapr.api"), Some("/dapr.proto.runtime.v1.Dapr/GetState"));
        }
    }
}

async fn a_component_call_is_a_span_inside(wire: Wire) {
    if against_dapr() {
        return; // Dapr has no spans of components
    }
    let collector = Collector::start().await;
    let sidecar = traced_to(&collector).resource(component("store", "state.in-memory", &[])).start().await;
    get_state(&sidecar, wire, "store").await;
    let (outer, inner) = (collector.named(&state_span(wire, "store")).await, collector.named("component/store/get").await);
    assert_eq!((&inner.parent, &inner.trace, inner.kind), (&outer.id, &outer.trace, 1));
    let attribute = |name: &str| inner.attributes.get(name).map(String::as_str);
    assert_eq!((attribute("proa.component.name"), attribute("proa.component.type")), (Some("store"), Some("state.in-memory")));
    assert_eq!((attribute("proa.component.operation"), attribute("proa.component.generation")), (Some("get"), Some("1")));
}

async fn a_failure_is_told(wire: Wire) {
    let collector = Collector::start().await;
    let sidecar = traced_to(&collector).start().await;
    get_state(&sidecar, wire, "nowhere").await;
    let span = collector.named(&state_span(wire, "nowhere")).await;
    match wire {
        Wire::Http => assert_eq!(span.error.as_deref(), Some("Code(500): Internal Server Error")),
        Wire::Grpc => assert!(span.error.is_some_and(|why| why.contains("state store")), "the status names the reason"),
    }
}

async fn publish(sidecar: &Sidecar, wire: Wire) {
    match wire {
        Wire::Http => {
            let request = sidecar.http().request("POST", "/v1.0/publish/broker/topic").header("traceparent", &traceparent());
            request.header("tracestate", "vendor=1").body("hi").send().await.expect_status(204);
        }
        Wire::Grpc => {
            let event = pb::PublishEventRequest { pubsub_name: "broker".into(), topic: "topic".into(), data: "hi".into(), ..Default::default() };
            sidecar.grpc().await.publish_event(called(event)).await.expect("published");
        }
    }
}

async fn events_carry_the_trace_to_the_application(wire: Wire) {
    let (collector, app) = (Collector::start().await, App::start().await);
    app.answer("/events", Answer::ok());
    let builder = traced_to(&collector).app(&app).resource(component("broker", "pubsub.in-memory", &[]));
    let sidecar = builder.resource(subscription("sub", "broker", "topic", "/events")).start().await;
    sidecar.wait_for_subscriptions(1).await;
    publish(&sidecar, wire).await;
    let delivered = app.wait_for("/events", 1).await.remove(0);
    let published = collector
        .wait_for("of publishing", |s| s.attributes.get("messaging.system").is_some_and(|v| v == "pubsub") && s.name != "pubsub/topic")
        .await;
    let delivery = collector.named("pubsub/topic").await;
    assert_eq!((&*published.trace, &*published.parent), (TRACE, PARENT));
    assert_eq!((&delivery.trace, &delivery.parent, delivery.kind), (&published.trace, &published.id, 3));
    assert_eq!(delivery.attributes.get("messaging.destination.name").map(String::as_str), Some("topic"));
    assert_eq!(delivered.header("traceparent"), Some(format!("00-{TRACE}-{}-01", delivery.id)));
    let event = delivered.json();
    assert_eq!((&event["traceparent"], &event["traceid"]), (&json!(format!("00-{TRACE}-{}-01", published.id)), &event["traceparent"]));
    if wire == Wire::Http {
        assert_eq!((event["tracestate"].as_str(), delivered.header("tracestate").as_deref()), (Some("vendor=1"), Some("vendor=1")));
    }
}

async fn events_of_one_bulk_have_parents_of_their_own(wire: Wire) {
    let (collector, app) = (Collector::start().await, App::start().await);
    app.answer("/events", Answer::ok());
    let builder = traced_to(&collector).app(&app).resource(component("broker", "pubsub.in-memory", &[]));
    let sidecar = builder.resource(subscription("sub", "broker", "topic", "/events")).start().await;
    sidecar.wait_for_subscriptions(1).await;
    match wire {
        Wire::Http => {
            let entry = |id: &str| json!({ "entryId": id, "event": "hi", "contentType": "text/plain" });
            sidecar.http().post("/v1.0-alpha1/publish/bulk/broker/topic", &json!([entry("1"), entry("2")])).await.expect_status(204);
        }
        Wire::Grpc => {
            let entry = |id: &str| pb::BulkPublishRequestEntry {
                entry_id: id.into(),
                event: "hi".into(),
                content_type: "text/plain".into(),
                ..Default::default()
            };
            let entries = vec![entry("1"), entry("2")];
            let request = pb::BulkPublishRequest { pubsub_name: "broker".into(), topic: "topic".into(), entries, ..Default::default() };
            sidecar.grpc().await.bulk_publish_event_alpha1(request).await.expect("published");
        }
    }
    let events = app.wait_for("/events", 2).await;
    let parents: Vec<String> = events.iter().map(|e| e.json()["traceparent"].as_str().expect("a parent").to_owned()).collect();
    assert_ne!(parents[0], parents[1]);
    assert_eq!(parents[0].get(..35), parents[1].get(..35), "one trace");
    let id = parents[0].get(36..52).expect("an id").to_owned();
    let produced = collector.wait_for("of an entry", |span| span.id == id).await;
    assert_eq!(produced.kind, 4);
}

async fn what_is_not_sampled_is_not_exported(wire: Wire) {
    let collector = Collector::start().await;
    let sidecar = traced_to(&collector).resource(component("store", "state.in-memory", &[])).start().await;
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    match wire {
        Wire::Http => {
            let reply = sidecar.http().request("GET", "/v1.0/state/store/key").header("traceparent", &unsampled).send().await;
            let told = reply.header("traceparent").expect("a context");
            assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00") && told != unsampled, "{told}");
        }
        Wire::Grpc => {
            let mut request = called(pb::GetStateRequest { store_name: "store".into(), key: "key".into(), ..Default::default() });
            request.metadata_mut().insert("traceparent", unsampled.parse().expect("a header"));
            sidecar.grpc().await.get_state(request).await.expect("an answer");
        }
    }
    // A later call that is sampled shows that the first would have come by now.
    sidecar.http().get("/v1.0/metadata").await.expect_status(200);
    collector.named("/v1.0/metadata").await;
    assert!(collector.spans().iter().all(|span| span.trace != TRACE), "{:?}", collector.spans());
}

/// Calls `method` of `target` through `sidecar` with the caller's span.
async fn invoke(sidecar: &Sidecar, wire: Wire, target: &str) {
    match wire {
        Wire::Http => {
            let path = format!("/v1.0/invoke/{target}/method/hello");
            sidecar.http().request("POST", &path).header("traceparent", &traceparent()).send().await.expect_status(200);
        }
        Wire::Grpc => {
            let verb = common::http_extension::Verb::Post.into();
            let extension = Some(common::HttpExtension { verb, querystring: String::new() });
            let message = Some(common::InvokeRequest { method: "hello".into(), http_extension: extension, ..Default::default() });
            let request = called(pb::InvokeServiceRequest { id: target.into(), message });
            sidecar.grpc().await.invoke_service(request).await.expect("an answer");
        }
    }
}

mod between_sidecars {
    use super::*;

    async fn http_application(wire: Wire) {
        let (collector, app) = (Collector::start().await, App::start().await);
        app.answer("/hello", Answer::ok());
        let id = format!("callee-{wire:?}-{}", std::process::id()).to_lowercase();
        let caller = traced_to(&collector).app_id("caller").start().await;
        let _callee = traced_to(&collector).app_id(&id).app(&app).start().await;
        invoke(&caller, wire, &id).await;
        let name = format!("CallLocal/{id}/hello");
        let outer = collector.wait_for("of the caller", |s| s.name == name && s.kind == 3).await;
        let inner = collector.wait_for("of the callee", |s| s.name == name && s.kind == 2).await;
        assert_eq!((&*outer.trace, &*outer.parent), (TRACE, PARENT));
        assert_eq!((&inner.trace, &inner.parent), (&outer.trace, &outer.id));
        assert_eq!(outer.attributes.get("net.peer.name"), Some(&id));
        assert_eq!(inner.attributes.get("dapr.invoke_method").map(String::as_str), Some("hello"));
        assert_eq!(inner.attributes.get("rpc.service").map(String::as_str), Some("ServiceInvocation"));
        let seen = app.wait_for("/hello", 1).await.remove(0);
        assert_eq!(seen.header("traceparent"), Some(format!("00-{TRACE}-{}-01", inner.id)));
    }

    #[tokio::test]
    async fn from_http() {
        http_application(Wire::Http).await;
    }

    #[tokio::test]
    async fn from_grpc() {
        http_application(Wire::Grpc).await;
    }

    #[tokio::test]
    async fn to_a_grpc_application() {
        let (collector, app) = (Collector::start().await, GrpcApp::start().await);
        let sidecar = traced_to(&collector).app_id("own").app(&app).start().await;
        invoke(&sidecar, Wire::Grpc, "own").await;
        let span = collector.named("CallLocal/own/hello").await;
        let told = app.invocations();
        assert_eq!(told[0].get("traceparent").map(String::as_str), Some(&*format!("00-{TRACE}-{}-01", span.id)));
        assert!(told[0].contains_key("grpc-trace-bin"));
    }
}
