//! Each kind over each transport: what is called arrives, what is answered comes back, failures keep their meaning.

use proa_harness::api::Operation;
use proa_harness::api::pairs;
use proa_harness::{Item, Wire, component};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorInfo, StatusExt};

use crate::Place;

macro_rules! over_both_wires {
    ($($case:ident),* $(,)?) => {
        mod http {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Http).await })*
        }
        mod grpc {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Grpc).await })*
        }
    };
}

over_both_wires!(
    state_is_kept_and_read,
    versions_are_minded,
    transactions_are_bounded_by_the_store,
    a_failure_keeps_the_components_words,
    a_failure_meant_for_the_application_is_passed_on,
    two_components_of_one_process_are_two_instances,
    operations_of_an_output_binding,
    secrets_one_and_all,
    features_are_the_components_own,
);

async fn state_is_kept_and_read(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[("colour", "blue")])).start().await;
    let api = sidecar.api(wire).await;

    api.put("store", "one", "1").await;
    assert_eq!(place.backend.value("store", "app||one").as_deref(), Some("\"1\""));
    assert_eq!(api.value("store", "one").await, json!("1"));
    assert_eq!(api.value("store", "none").await, json!(null));

    let many: Vec<Item> = (0..4).map(|n| Item::new(&format!("k{n}"), n)).collect();
    api.save("store", &many).await.expect("saved");
    let rows = api.bulk_get("store", &["k0", "none", "k3"]).await.expect("rows");
    let found: Vec<_> = rows.iter().map(|r| (r.key.as_str(), r.value.clone())).collect();
    assert_eq!(found, [("k0", Some(json!(0))), ("none", None), ("k3", Some(json!(3)))]);

    api.remove("store", &Item::new("one", ())).await.expect("removed");
    assert_eq!(place.backend.value("store", "app||one"), None);

    let inits = place.backend.inits();
    let [init] = inits.as_slice() else { panic!("{inits:?}") };
    assert_eq!((init.kind, init.instance.as_str()), ("state", "store"));
    assert_eq!(init.properties["colour"], "blue");
}

async fn versions_are_minded(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "k", 1).await;
    let etag = api.get("store", "k").await.expect("a value").etag.expect("an etag");
    api.save("store", &[Item::new("k", 2).etag(&etag)]).await.expect("the etag is the stored one");

    let mismatch = api.save("store", &[Item::new("k", 3).etag(&etag)]).await.expect_err("the etag is old");
    mismatch.expect(409, Code::Aborted, "ERR_STATE_SAVE").says("possible etag mismatch. error from state store: another version is stored");
    let invalid = api.remove("store", &Item::new("k", ()).etag("x")).await.expect_err("the etag is none of the store's");
    invalid.expect(400, Code::InvalidArgument, "ERR_STATE_DELETE").says("invalid etag value: etags are numbers");
    assert_eq!(api.value("store", "k").await, json!(2));
}

async fn transactions_are_bounded_by_the_store(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "old", 0).await;
    let steps = |count: u32| (0..count).map(|n| Operation::Upsert(Item::new(&format!("t{n}"), n))).collect::<Vec<_>>();
    let mut fits = steps(2);
    fits.push(Operation::Delete(Item::new("old", ())));
    api.transact("store", &fits, &[]).await.expect("three operations fit");
    assert_eq!((api.value("store", "t1").await, api.value("store", "old").await), (json!(1), json!(null)));

    let error = api.transact("store", &steps(4), &[]).await.expect_err("four do not");
    error.expect(400, Code::InvalidArgument, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS").info("maxOpsPerTransaction", "3");
}

async fn a_failure_keeps_the_components_words(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let api = sidecar.api(wire).await;
    place.backend.fail_with(Some(Status::resource_exhausted("the disk is full")));
    let error = api.save("store", &[Item::new("k", 1)]).await.expect_err("the store fails");
    error.expect(500, Code::Internal, "ERR_STATE_SAVE");
    error.says("failed saving state in state store store: rpc error: code = ResourceExhausted desc = the disk is full");
    let error = api.bulk_get("store", &["a", "b"]).await.expect_err("the store fails");
    error.says("rpc error: code = ResourceExhausted desc = the disk is full");
    place.backend.fail_with(None);
    api.put("store", "k", 1).await;
}

async fn a_failure_meant_for_the_application_is_passed_on(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let api = sidecar.api(wire).await;
    let about = [("kit_error", "true"), ("http_code", "507"), ("tag", "ERR_FULL")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let detail = ErrorInfo::new("DISK", "box.example", about.into_iter().collect::<std::collections::HashMap<_, _>>());
    place.backend.fail_with(Some(Status::with_error_details_vec(Code::DataLoss, "no room", vec![ErrorDetail::ErrorInfo(detail)])));
    let error = api.get("store", "k").await.expect_err("the store fails");
    error.expect(507, Code::DataLoss, "ERR_STATE_GET");
    match wire {
        Wire::Http => error.says("fail to get k from state store store: api error: code = DataLoss desc = no room"),
        Wire::Grpc => error.says("no room"),
    };
}

async fn two_components_of_one_process_are_two_instances(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place
        .sidecar()
        .resource(component("left", "state.box", &[("keyPrefix", "none"), ("side", "l")]))
        .resource(component("right", "state.box", &[("keyPrefix", "none"), ("side", "r")]))
        .start()
        .await;
    let api = sidecar.api(wire).await;
    api.put("left", "k", "l").await;
    api.put("right", "k", "r").await;
    assert_eq!(place.backend.value("left", "k").as_deref(), Some("\"l\""));
    assert_eq!(place.backend.value("right", "k").as_deref(), Some("\"r\""));
    let mut sides: Vec<_> = place.backend.inits().into_iter().map(|c| (c.instance, c.properties["side"].clone())).collect();
    sides.sort();
    assert_eq!(sides, [("left".to_owned(), "l".to_owned()), ("right".to_owned(), "r".to_owned())]);
}

async fn operations_of_an_output_binding(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("out", "bindings.box", &[("direction", "output")])).start().await;
    let api = sidecar.api(wire).await;
    let reply = api.invoke_binding("out", "echo", json!({ "a": 1 }), &[("colour", "blue")]).await.expect("an answer");
    assert_eq!(reply.data, r#"{"a":1}"#);
    assert_eq!(reply.metadata["colour"], "blue");
    let error = api.invoke_binding("out", "sing", json!(null), &[]).await.expect_err("no such operation");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING");
    error.says("binding out does not support operation sing. supported operations:echo create");
    assert_eq!(place.backend.inits().iter().map(|c| c.kind).collect::<Vec<_>>(), ["output"], "the other direction is left alone");
}

async fn secrets_one_and_all(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    // A store that takes its password from the other process: secret stores are started first.
    let store = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nauth:\n  secretStore: vault\nspec:\n  type: state.box\n  version: v1\n  \
                 metadata:\n  - name: password\n    secretKeyRef:\n      name: first\n      key: value\n";
    let sidecar = place.sidecar().resource(store).resource(component("vault", "secretstores.box", &[])).start().await;
    let api = sidecar.api(wire).await;
    assert_eq!(api.secret("vault", "first", &[]).await.expect("a secret"), pairs(&[("kind", "word"), ("value", "sesame")]));
    let all = api.secrets("vault").await.expect("secrets");
    assert_eq!(all.keys().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(all["second"]["value"], "mellon");
    let error = api.secret("vault", "third", &[]).await.expect_err("no such secret");
    error.expect(500, Code::Internal, "ERR_SECRET_GET").says("rpc error: code = NotFound desc = no secret third");
    let inits = place.backend.inits();
    let state = inits.iter().find(|c| c.kind == "state").expect("the store is initialised");
    assert_eq!(state.properties["password"], "sesame");
}

async fn features_are_the_components_own(wire: Wire) {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place
        .sidecar()
        .resource(component("store", "state.box", &[]))
        .resource(component("broker", "pubsub.box", &[]))
        .resource(component("both", "bindings.box", &[]))
        .start()
        .await;
    let metadata = sidecar.api(wire).await.metadata().await.expect("metadata");
    let listed = metadata["components"].as_array().expect("components").clone();
    let features = |name: &str| listed.iter().find(|c| c["name"] == name).map(|c| c["capabilities"].clone());
    assert_eq!(features("store"), Some(json!(["ETAG", "TRANSACTIONAL", "ACTOR"])));
    assert_eq!(features("broker"), Some(json!(["BULK_PUBSUB"])));
    assert_eq!(features("both"), Some(json!(["INPUT_BINDING", "OUTPUT_BINDING"])));
}

/// Queries are asked over HTTP: the client's other half knows no queries.
#[tokio::test]
async fn queries_are_the_components_to_answer() {
    let place = Place::default();
    let _process = place.process().await;
    let sidecar = place.sidecar().resource(component("store", "state.box", &[])).start().await;
    let api = sidecar.api(Wire::Http).await;
    api.put("store", "a", json!({ "x": 1 })).await;
    api.put("store", "b", json!({ "x": 2 })).await;
    let reply = sidecar.http().post("/v1.0-alpha1/state/store/query", &json!({ "filter": { "EQ": { "x": 2 } } })).await;
    let rows = reply.expect_status(200).json();
    assert_eq!(rows["results"][0]["key"], "b");
    assert_eq!(rows["results"].as_array().map(Vec::len), Some(1));
    let reply = sidecar.http().post("/v1.0-alpha1/state/store/query", &json!({ "filter": { "LIKE": 1 } })).await;
    assert_eq!(reply.expect_status(500).json()["errorCode"], "ERR_STATE_QUERY");
}
