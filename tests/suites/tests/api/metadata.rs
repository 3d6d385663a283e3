//! The metadata API.

use proa_harness::{App, AppEndpoint, Sidecar, Wire, component, until};
use serde_json::{Value, json};
use std::time::Duration;

over_both_wires!(it_describes_the_sidecar, attributes_are_set_and_read, it_describes_app_and_subscriptions);

async fn it_describes_the_sidecar(wire: Wire) {
    let sidecar = Sidecar::builder()
        .app_id("described")
        .resource(component("store", "state.in-memory", &[]))
        .resource(component("broker", "pubsub.in-memory", &[]))
        .resource(component("files", "bindings.localstorage", &[("rootPath", "files")]))
        .start()
        .await;
    let found = sidecar.api(wire).await.metadata().await.expect("metadata");
    assert_eq!(found["id"], "described");
    assert!(found["runtimeVersion"].as_str().is_some_and(|version| !version.is_empty()), "{found}");
    assert!(found["extended"]["daprRuntimeVersion"].is_string(), "{found}");
    let component = |name: &str| found["components"].as_array().expect("components").iter().find(|one| one["name"] == name).cloned();
    let store = component("store").expect("the store");
    assert_eq!((&store["type"], &store["version"]), (&json!("state.in-memory"), &json!("v1")));
    for capability in ["ETAG", "TRANSACTIONAL", "TTL"] {
        assert!(store["capabilities"].as_array().is_some_and(|list| list.contains(&json!(capability))), "{store}");
    }
    assert_eq!(component("broker").expect("the broker")["type"], "pubsub.in-memory");
    assert_eq!(component("files").expect("the binding")["type"], "bindings.localstorage");
}

async fn attributes_are_set_and_read(wire: Wire) {
    let sidecar = Sidecar::builder().start().await;
    let api = sidecar.api(wire).await;
    api.set_metadata("owner", "me").await.expect("set");
    api.set_metadata("owner", "you").await.expect("set again");
    api.set_metadata("cliPID", "17").await.expect("set");
    let found = api.metadata().await.expect("metadata");
    assert_eq!((&found["extended"]["owner"], &found["extended"]["cliPID"]), (&json!("you"), &json!("17")));
}

async fn it_describes_app_and_subscriptions(wire: Wire) {
    let app = App::start().await;
    app.subscribe(json!([{"pubsubname": "broker", "topic": "programmed", "route": "/p", "deadLetterTopic": "dead"}]));
    let declared = proa_harness::subscription("declared", "broker", "declared", "/d");
    let sidecar = Sidecar::builder().resource(component("broker", "pubsub.in-memory", &[])).resource(declared).app(&app).start().await;
    let api = sidecar.api(wire).await;
    let found: Value = until("both subscriptions", Duration::from_secs(10), || async {
        let found = api.metadata().await.expect("metadata");
        (found["subscriptions"].as_array().map_or(0, Vec::len) == 2).then_some(found)
    })
    .await;
    let topic =
        |name: &str| found["subscriptions"].as_array().and_then(|all| all.iter().find(|one| one["topic"] == name)).cloned().expect("the topic");
    assert_eq!(topic("programmed")["type"], "PROGRAMMATIC");
    assert_eq!(topic("programmed")["deadLetterTopic"], "dead");
    assert_eq!(topic("programmed")["rules"][0]["path"], "/p");
    assert_eq!(topic("declared")["type"], "DECLARATIVE");
    assert_eq!(found["appConnectionProperties"]["port"], app.port());
    assert_eq!(found["appConnectionProperties"]["protocol"], "http");
}
