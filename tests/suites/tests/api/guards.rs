//! What stands before every operation: the API token, the lists of allowed and denied APIs, CORS, the body limit.

use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Http, Item, Sidecar, Wire, against_dapr, component, configuration, stays};
use serde_json::json;
use tonic::Code;

use crate::stores::with_memory;

over_both_wires!(
    a_token_opens_the_api,
    only_allowed_groups_are_served,
    denied_groups_are_not_served,
    a_rule_can_name_one_protocol,
    a_rule_without_a_protocol_means_both,
    a_body_over_the_limit_is_refused,
    the_limit_can_be_raised,
);

async fn a_token_opens_the_api(wire: Wire) {
    let sidecar = with_memory().env("DAPR_API_TOKEN", "open sesame").start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "k", "v").await;
    assert_eq!(api.value("store", "k").await, json!("v"));

    for wrong in [None, Some("shut sesame")] {
        match wire {
            Wire::Http => {
                let mut http = Http::to_port(sidecar.ports().http);
                if let Some(wrong) = wrong {
                    http = http.with_header("dapr-api-token", wrong);
                }
                let reply = http.get("/v1.0/state/store/k").await.expect_status(401);
                assert_eq!(reply.text().trim_end(), "invalid api token");
                http.get("/v1.0/state/store/k?dapr-api-token=open%20sesame").await.expect_status(401);
                http.get("/v1.0/healthz").await.expect_status(204);
            }
            Wire::Grpc => {
                let mut request = tonic::Request::new(pb::GetStateRequest { store_name: "store".into(), key: "k".into(), ..Default::default() });
                if let Some(wrong) = wrong {
                    request.metadata_mut().insert("dapr-api-token", wrong.parse().expect("ASCII"));
                }
                let status = sidecar.grpc().await.get_state(request).await.expect_err("no token");
                assert_eq!(status.code(), Code::Unauthenticated);
            }
        }
    }
}

/// One rule on a group, for one transport or for both.
fn rules(list: &str, group: &str, protocol: Option<Wire>) -> String {
    let protocol = match protocol {
        Some(Wire::Http) => "\n        protocol: http",
        Some(Wire::Grpc) => "\n        protocol: grpc",
        None => "",
    };
    configuration(&format!("  api:\n    {list}:\n      - name: {group}\n        version: v1{protocol}"))
}

/// Over HTTP a denied route is as good as unknown; over gRPC it is unimplemented.
async fn denied(sidecar: &Sidecar, wire: Wire) {
    match wire {
        Wire::Http => {
            sidecar.http().get("/v1.0/state/store/k").await.expect_status(404);
        }
        Wire::Grpc => {
            let request = pb::GetStateRequest { store_name: "store".into(), key: "k".into(), ..Default::default() };
            let status = sidecar.grpc().await.get_state(request).await.expect_err("a denied call");
            assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        }
    }
}

async fn only_allowed_groups_are_served(wire: Wire) {
    let sidecar = with_memory().config(rules("allowed", "state", Some(wire))).start().await;
    sidecar.api(wire).await.put("store", "k", 1).await;
    let sidecar = with_memory().config(rules("allowed", "secrets", Some(wire))).start().await;
    denied(&sidecar, wire).await;
}

async fn denied_groups_are_not_served(wire: Wire) {
    let sidecar = with_memory().config(rules("denied", "state", Some(wire))).start().await;
    denied(&sidecar, wire).await;
    sidecar.api(wire).await.metadata().await.expect("a group that is not denied");
}

async fn a_rule_can_name_one_protocol(wire: Wire) {
    let other = if wire == Wire::Http { Wire::Grpc } else { Wire::Http };
    let sidecar = with_memory().config(rules("denied", "state", Some(other))).start().await;
    sidecar.api(wire).await.put("store", "k", 1).await;
    denied(&sidecar, other).await;
}

/// Dapr takes such a rule for neither transport, which leaves a denied API open: this one is stricter.
async fn a_rule_without_a_protocol_means_both(wire: Wire) {
    if against_dapr() {
        return;
    }
    denied(&with_memory().config(rules("denied", "state", None)).start().await, wire).await;
}

async fn a_body_over_the_limit_is_refused(wire: Wire) {
    let sidecar = with_memory().flag("--max-body-size", "64Ki").start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "small", "v".repeat(32 << 10)).await;
    let error = api.save("store", &[Item::new("large", "v".repeat(128 << 10))]).await.expect_err("a large body");
    match wire {
        // Dapr cuts the body off and reports what it could not read; a plain 413 says the same.
        Wire::Http => assert!([400, 413].contains(&error.http_status), "{error:?}"),
        Wire::Grpc => assert_eq!(error.code, Some(Code::ResourceExhausted), "{error:?}"),
    }
    assert!(api.value("store", "large").await.is_null());
}

async fn the_limit_can_be_raised(wire: Wire) {
    let sidecar = with_memory().flag("--max-body-size", "16Mi").start().await;
    let api = sidecar.api(wire).await;
    let value = "v".repeat(8 << 20);
    api.put("store", "large", value.clone()).await;
    assert_eq!(api.value("store", "large").await, json!(value));
    let sidecar = with_memory().start().await;
    let error = sidecar.api(wire).await.save("store", &[Item::new("large", value)]).await;
    error.expect_err("more than the default of four mebibytes");
}

#[tokio::test]
async fn cors_is_off_by_default() {
    let sidecar = with_memory().start().await;
    let reply = sidecar.http().request("GET", "/v1.0/metadata").header("origin", "http://example.com").send().await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn cors_can_allow_every_origin_before_the_token() {
    let sidecar = with_memory().flag("--allowed-origins", "*").env("DAPR_API_TOKEN", "token").start().await;
    let anonymous = Http::to_port(sidecar.ports().http);
    let preflight = anonymous.request("OPTIONS", "/v1.0/metadata").header("origin", "http://example.com");
    let reply = preflight.header("access-control-request-method", "GET").send().await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("*"));
    assert!(reply.header("vary").is_some());
    anonymous.request("GET", "/v1.0/metadata").header("origin", "http://example.com").send().await.expect_status(401);
    let reply = sidecar.http().request("GET", "/v1.0/metadata").header("origin", "http://example.com").send().await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("*"));
}

#[tokio::test]
async fn cors_can_allow_some_origins() {
    let sidecar = with_memory().flag("--allowed-origins", "http://one.example,http://two.example").start().await;
    let ask = |origin: &'static str| {
        let http = sidecar.http();
        async move { http.request("GET", "/v1.0/metadata").header("origin", origin).send().await.expect_status(200).header("access-control-allow-origin") }
    };
    assert_eq!(ask("http://two.example").await.as_deref(), Some("http://two.example"));
    assert_eq!(ask("http://three.example").await, None);
}

#[tokio::test]
async fn the_token_is_not_logged() {
    let token = "a-token-nobody-may-see";
    let mut sidecar = with_memory().resource(component("env", "secretstores.local.env", &[])).env("DAPR_API_TOKEN", token).start().await;
    sidecar.http().get("/v1.0/metadata").await.expect_status(200);
    assert!(sidecar.is_running());
    stays("the token is not in the log", std::time::Duration::from_millis(300), || !sidecar.logs().contain(token)).await;
}
