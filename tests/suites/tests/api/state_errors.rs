//! Errors of the state API: status, code, message and details, the same over both transports.

use proa_harness::api::{Detail, Operation};
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Item, Redis, Sidecar, Wire, component};
use serde_json::{Value, json};
use tonic::Code;

use crate::stores::{Store, with_memory};

over_both_wires!(
    an_unknown_store_is_named,
    without_any_store_it_says_so,
    a_key_with_the_separator_is_illegal,
    an_invalid_etag_is_not_a_mismatch,
    querying_is_not_supported_everywhere,
    an_unknown_operation_is_refused,
);

async fn an_unknown_store_is_named(wire: Wire) {
    let sidecar = with_memory().start().await;
    let api = sidecar.api(wire).await;
    let key = [Item::new("k", "v")];
    let errors = [
        api.get("nowhere", "k").await.expect_err("get"),
        api.save("nowhere", &key).await.expect_err("save"),
        api.remove("nowhere", &key[0]).await.expect_err("delete"),
        api.bulk_get("nowhere", &["k"]).await.expect_err("bulk get"),
        api.transact("nowhere", &[Operation::Delete(key[0].clone())], &[]).await.expect_err("transaction"),
    ];
    for error in errors {
        assert_eq!(error.message, "state store nowhere is not found");
        error.expect(400, Code::InvalidArgument, "ERR_STATE_STORE_NOT_FOUND").reason("DAPR_STATE_NOT_FOUND");
    }
}

async fn without_any_store_it_says_so(wire: Wire) {
    let sidecar = Sidecar::builder().start().await;
    let api = sidecar.api(wire).await;
    let errors = [api.get("store", "k").await.expect_err("get"), api.save("store", &[Item::new("k", 1)]).await.expect_err("save")];
    for error in errors {
        assert_eq!(error.message, "state store store is not configured");
        error.expect(500, Code::FailedPrecondition, "ERR_STATE_STORE_NOT_CONFIGURED").reason("DAPR_STATE_NOT_CONFIGURED");
    }
}

async fn a_key_with_the_separator_is_illegal(wire: Wire) {
    let sidecar = with_memory().start().await;
    let api = sidecar.api(wire).await;
    let item = Item::new("a||b", "v");
    let errors = [
        api.get("store", "a||b").await.expect_err("get"),
        api.save("store", std::slice::from_ref(&item)).await.expect_err("save"),
        api.remove("store", &item).await.expect_err("delete"),
        api.bulk_get("store", &["a||b"]).await.expect_err("bulk get"),
        api.transact("store", &[Operation::Upsert(item.clone())], &[]).await.expect_err("transaction"),
    ];
    for (index, error) in errors.iter().enumerate() {
        error.expect(400, Code::InvalidArgument, "ERR_MALFORMED_REQUEST").reason("DAPR_STATE_ILLEGAL_KEY");
        error.about("state", "store");
        error.says("input key/keyPrefix 'a||b' can't contain '||'");
        // A transaction over HTTP does not name the field in Dapr.
        let violated = index == 4
            || error
                .details
                .iter()
                .any(|detail| matches!(detail, Detail::BadRequest { violations } if violations.iter().any(|(field, _)| field == "a||b")));
        assert!(violated, "{error:?}");
    }
}

/// Redis etags are numbers: anything else cannot be one.
async fn an_invalid_etag_is_not_a_mismatch(wire: Wire) {
    let redis = Redis::start().await;
    let sidecar = Sidecar::builder().resource(Store::Redis.component(Some(&redis), &[])).start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "k", "v").await;
    let item = Item::new("k", "w").etag("not a number");
    let error = api.save("store", std::slice::from_ref(&item)).await.expect_err("save");
    error.expect(400, Code::InvalidArgument, "ERR_STATE_SAVE").says("invalid etag value");
    let error = api.remove("store", &item).await.expect_err("delete");
    // Dapr's Redis component compares it as text when it deletes, and finds a mismatch.
    assert!([400, 409].contains(&error.http_status) || [Some(Code::InvalidArgument), Some(Code::Aborted)].contains(&error.code), "{error:?}");
    assert_eq!(api.value("store", "k").await, json!("v"));
}

async fn querying_is_not_supported_everywhere(wire: Wire) {
    let sidecar = with_memory().start().await;
    match wire {
        Wire::Http => {
            let reply = sidecar.http().post("/v1.0-alpha1/state/store/query", &json!({})).await.expect_status(500);
            let body = reply.json();
            assert_eq!(
                (&body["errorCode"], &body["message"]),
                (&json!("ERR_STATE_STORE_NOT_SUPPORTED"), &json!("state store does not support querying"))
            );
        }
        Wire::Grpc => {
            let request = pb::QueryStateRequest { store_name: "store".into(), query: "{}".into(), metadata: Default::default() };
            let status = sidecar.grpc().await.query_state_alpha1(request).await.expect_err("a query");
            assert_eq!((status.code(), status.message()), (Code::Internal, "state store does not support querying"));
        }
    }
}

async fn an_unknown_operation_is_refused(wire: Wire) {
    let sidecar = with_memory().start().await;
    match wire {
        Wire::Http => {
            let body = json!({"operations": [{"operation": "invent", "request": {"key": "k"}}]});
            let reply = sidecar.http().post("/v1.0/state/store/transaction", &body).await.expect_status(400).json();
            assert_eq!(reply["errorCode"], "ERR_NOT_SUPPORTED_STATE_OPERATION");
        }
        Wire::Grpc => {
            let operation = pb::TransactionalStateOperation { operation_type: "invent".into(), request: Some(Default::default()) };
            let request =
                pb::ExecuteStateTransactionRequest { store_name: "store".into(), operations: vec![operation], metadata: Default::default() };
            let status = sidecar.grpc().await.execute_state_transaction(request).await.expect_err("an unknown operation");
            assert_eq!(status.code(), Code::Unimplemented);
        }
    }
}

#[tokio::test]
async fn malformed_bodies_over_http() {
    let sidecar = with_memory().start().await;
    let http = sidecar.http();
    for (path, body) in [
        ("/v1.0/state/store", "{not json"),
        ("/v1.0/state/store", "{}"),
        ("/v1.0/state/store/bulk", "[1"),
        ("/v1.0/state/store/transaction", "\"text\""),
    ] {
        let reply = http.request("POST", path).header("content-type", "application/json").body(body).send().await.expect_status(400);
        assert_eq!(reply.json()["errorCode"], "ERR_MALFORMED_REQUEST", "{path} {body}");
        assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
    }
    let reply = http.post("/v1.0/state/store", &json!([{"value": 1}])).await.expect_status(400);
    assert_eq!(reply.json()["message"], "\"key\" is a required field");
}

#[tokio::test]
async fn the_details_over_http_are_complete() {
    let sidecar = with_memory().start().await;
    let body: Value = sidecar.http().get("/v1.0/state/store/a%7C%7Cb").await.expect_status(400).json();
    let detail = |kind: &str| {
        let wanted = format!("type.googleapis.com/google.rpc.{kind}");
        let all = body["details"].as_array().expect("details");
        all.iter().find(|detail| detail["@type"] == wanted.as_str()).unwrap_or_else(|| panic!("no {kind} in {body}")).clone()
    };
    assert_eq!((&detail("ErrorInfo")["domain"], &detail("ErrorInfo")["reason"]), (&json!("dapr.io"), &json!("DAPR_STATE_ILLEGAL_KEY")));
    assert_eq!((&detail("ResourceInfo")["resource_type"], &detail("ResourceInfo")["resource_name"]), (&json!("state"), &json!("store")));
    assert_eq!(detail("BadRequest")["field_violations"][0]["field"], "a||b");
}

#[tokio::test]
async fn two_stores_are_two_stores() {
    let second = component("second", "state.in-memory", &[]);
    let sidecar = with_memory().resource(second).start().await;
    let api = sidecar.api(Wire::Http).await;
    api.put("store", "k", "here").await;
    assert_eq!(api.value("second", "k").await, Value::Null);
}
