//! Keys that expire.

use std::time::Duration;

use proa_harness::api::Operation;
use proa_harness::{Item, until};
use serde_json::{Value, json};
use tonic::Code;

use crate::stores::{Place, Store, with_memory};

over_every_store!(
    a_key_expires,
    the_expiry_is_reported,
    a_write_without_ttl_removes_the_expiry,
    a_negative_ttl_never_expires,
    a_transaction_step_can_expire,
    a_malformed_ttl_is_refused,
);

async fn gone(place: &Place, key: &str) {
    until(&format!("expiry of {key}"), Duration::from_secs(8), || async { place.api.value("store", key).await.is_null().then_some(()) }).await;
}

async fn a_key_expires(place: &Place) {
    place.api.save("store", &[Item::new("short", "x").ttl(2), Item::new("long", "y").ttl(60), Item::new("ever", "z")]).await.expect("save");
    assert_eq!(place.api.value("store", "short").await, json!("x"));
    gone(place, "short").await;
    assert_eq!(place.api.value("store", "long").await, json!("y"));
    assert_eq!(place.api.value("store", "ever").await, json!("z"));
    let rows = place.api.bulk_get("store", &["short", "long"]).await.expect("bulk get");
    let value = |key: &str| rows.iter().find(|row| row.key == key).and_then(|row| row.value.clone());
    assert_eq!((value("short"), value("long")), (None, Some(json!("y"))));
}

async fn the_expiry_is_reported(place: &Place) {
    // The Redis component does not ask for it.
    if place.store == Store::Redis {
        return;
    }
    place.api.save("store", &[Item::new("k", "x").ttl(60)]).await.expect("save");
    let found = place.api.get("store", "k").await.expect("get");
    let time = found.metadata.get("ttlexpiretime").unwrap_or_else(|| panic!("no expiry in {found:?}"));
    // RFC 3339 in UTC, such as 2026-01-31T12:00:00Z.
    assert!(time.len() >= 20 && time.ends_with('Z') && time.contains('T'), "{time}");
    place.api.put("store", "plain", "x").await;
    assert_eq!(place.api.get("store", "plain").await.expect("get").metadata.get("ttlexpiretime"), None);
}

async fn a_write_without_ttl_removes_the_expiry(place: &Place) {
    place.api.save("store", &[Item::new("k", "x").ttl(60)]).await.expect("save");
    place.api.save("store", &[Item::new("k", "y").ttl(-1)]).await.expect("save");
    let found = place.api.get("store", "k").await.expect("get");
    assert_eq!((found.json(), found.metadata.get("ttlexpiretime")), (json!("y"), None));
}

async fn a_negative_ttl_never_expires(place: &Place) {
    place.api.save("store", &[Item::new("k", "x").ttl(-1)]).await.expect("save");
    let found = place.api.get("store", "k").await.expect("get");
    assert_eq!((found.json(), found.metadata.get("ttlexpiretime")), (json!("x"), None));
}

async fn a_transaction_step_can_expire(place: &Place) {
    let steps = [Operation::Upsert(Item::new("short", 1).ttl(1)), Operation::Upsert(Item::new("stays", 2))];
    place.api.transact("store", &steps, &[]).await.expect("transaction");
    gone(place, "short").await;
    assert_eq!(place.api.value("store", "stays").await, json!(2));
}

async fn a_malformed_ttl_is_refused(place: &Place) {
    let mut item = Item::new("k", "x");
    item.metadata.insert("ttlInSeconds".into(), "soon".into());
    let error = place.api.save("store", &[item]).await.expect_err("a malformed ttl");
    error.expect(500, Code::Internal, "ERR_STATE_SAVE").says("failed saving state in state store store: ");
    assert_eq!(place.api.value("store", "k").await, Value::Null);
}

#[tokio::test]
async fn the_query_of_a_save_reaches_every_key() {
    let sidecar = with_memory().start().await;
    let http = sidecar.http();
    http.post("/v1.0/state/store?metadata.ttlInSeconds=1", &json!([{"key": "a", "value": 1}, {"key": "b", "value": 2}])).await.expect_status(204);
    let rows = http.post("/v1.0/state/store/bulk", &json!({"keys": ["a", "b"]})).await.expect_status(200).json();
    for row in rows.as_array().expect("rows") {
        assert!(row["metadata"]["ttlExpireTime"].is_string(), "{row}");
    }
    for key in ["a", "b"] {
        let path = format!("/v1.0/state/store/{key}");
        until("expiry", Duration::from_secs(5), || async { (http.get(&path).await.status == 204).then_some(()) }).await;
    }
}
