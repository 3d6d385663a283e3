//! Reading, writing, deleting, one key at a time, in bulk and in transactions.

use bytes::Bytes;
use proa_harness::Item;
use proa_harness::api::Operation;
use proa_harness::protocol::common::v1::StateItem;
use proa_harness::protocol::runtime::v1 as pb;
use serde_json::{Value, json};

use crate::state_etags::stale_etag;
use crate::stores::{Place, Store};

over_every_store!(
    a_key_is_written_read_and_deleted,
    values_keep_their_shape,
    any_bytes_survive,
    one_transport_reads_what_the_other_wrote,
    odd_keys_are_ordinary_keys,
    a_kilobyte_and_a_megabyte_fit,
    bulk_get_gives_a_row_for_every_key,
    many_keys_are_written_in_one_request,
    many_keys_are_deleted_in_one_request,
    a_transaction_applies_every_step,
    a_transaction_applies_all_or_nothing,
    an_empty_transaction_is_accepted,
);

async fn a_key_is_written_read_and_deleted(place: &Place) {
    let api = &place.api;
    let absent = api.get("store", "k").await.expect("get of a missing key");
    assert_eq!((absent.value, absent.etag), (None, None));

    api.put("store", "k", "one").await;
    let first = api.get("store", "k").await.expect("get");
    assert_eq!(first.json(), json!("one"));
    api.put("store", "k", "two").await;
    let second = api.get("store", "k").await.expect("get");
    assert_eq!(second.json(), json!("two"));
    assert!(first.etag.is_some() && second.etag.is_some() && first.etag != second.etag, "{first:?} {second:?}");

    api.remove("store", &Item::new("k", Value::Null)).await.expect("delete");
    assert_eq!(api.get("store", "k").await.expect("get").value, None);
    api.remove("store", &Item::new("k", Value::Null)).await.expect("delete of a missing key");
}

async fn values_keep_their_shape(place: &Place) {
    let values =
        [json!("text"), json!(""), json!(7), json!(-1.5), json!(true), json!([1, "2"]), json!({"a": {"b": [null]}}), json!("ünïcödé <&> \" \\")];
    for (index, value) in values.iter().enumerate() {
        let key = format!("shape-{index}");
        place.api.put("store", &key, value.clone()).await;
        assert_eq!(&place.api.value("store", &key).await, value);
    }
}

async fn any_bytes_survive(place: &Place) {
    let value: Vec<u8> = (0..=255).collect();
    let item = StateItem { key: "bytes".into(), value: value.clone().into(), ..Default::default() };
    let request = pb::SaveStateRequest { store_name: "store".into(), states: vec![item] };
    place.sidecar.grpc().await.save_state(request).await.expect("save");
    let found = place.api.get("store", "bytes").await.expect("get");
    assert_eq!(found.value, Some(Bytes::from(value)));
}

async fn one_transport_reads_what_the_other_wrote(place: &Place) {
    let other = place.other_wire().await;
    place.api.put("store", "shared", json!({"from": "one"})).await;
    let (here, there) = (place.api.get("store", "shared").await.expect("get"), other.get("store", "shared").await.expect("get"));
    assert_eq!(here, there);
    let fresh = here.etag.expect("an etag");
    other.save("store", &[Item::new("shared", "two").etag(&fresh)]).await.expect("save with the etag from the other transport");
    assert_eq!(place.api.value("store", "shared").await, json!("two"));
}

async fn odd_keys_are_ordinary_keys(place: &Place) {
    for key in ["with space", "percent%41", "ümläut", "a|b", "dots..and.", "colon:semi;comma,", "quote\"'", "plus+and&and=", "slash/in/it"] {
        place.api.put("store", key, key).await;
        assert_eq!(place.api.value("store", key).await, json!(key));
        place.api.remove("store", &Item::new(key, Value::Null)).await.expect("delete");
        assert_eq!(place.api.value("store", key).await, Value::Null);
    }
}

async fn a_kilobyte_and_a_megabyte_fit(place: &Place) {
    for size in [1 << 10, 1 << 20] {
        let value = "v".repeat(size);
        place.api.put("store", "large", value.clone()).await;
        assert_eq!(place.api.value("store", "large").await, json!(value));
    }
}

async fn bulk_get_gives_a_row_for_every_key(place: &Place) {
    for key in ["a", "b", "c"] {
        place.api.put("store", key, json!({"is": key})).await;
    }
    let rows = place.api.bulk_get("store", &["a", "missing", "c", "b"]).await.expect("bulk get");
    assert_eq!(rows.len(), 4, "{rows:?}");
    for key in ["a", "b", "c"] {
        let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no row for {key}"));
        assert_eq!(row.value, Some(json!({"is": key})));
        assert_eq!(row.etag, place.api.get("store", key).await.expect("get").etag);
        assert_eq!(row.error, "");
    }
    let missing = rows.iter().find(|row| row.key == "missing").expect("a row for the missing key");
    assert_eq!((&missing.value, missing.error.as_str()), (&None, ""));
    assert_eq!(place.api.bulk_get("store", &[]).await.expect("bulk get of nothing"), vec![]);
}

async fn many_keys_are_written_in_one_request(place: &Place) {
    let items: Vec<Item> = (0..40).map(|n| Item::new(&format!("many-{n}"), n)).collect();
    place.api.save("store", &items).await.expect("save");
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    let rows = place.api.bulk_get("store", &keys).await.expect("bulk get");
    for (n, item) in items.iter().enumerate() {
        assert_eq!(rows.iter().find(|row| row.key == item.key).and_then(|row| row.value.clone()), Some(json!(n)));
    }
    place.api.save("store", &[]).await.expect("save of nothing");
}

/// HTTP has no bulk delete, so its half is single deletes.
async fn many_keys_are_deleted_in_one_request(place: &Place) {
    let items: Vec<Item> = (0..10).map(|n| Item::new(&format!("gone-{n}"), n)).collect();
    place.api.save("store", &items).await.expect("save");
    let states = items.iter().map(|item| StateItem { key: item.key.clone(), ..Default::default() }).collect();
    let request = pb::DeleteBulkStateRequest { store_name: "store".into(), states };
    place.sidecar.grpc().await.delete_bulk_state(request).await.expect("bulk delete");
    for item in &items {
        assert_eq!(place.api.value("store", &item.key).await, Value::Null);
    }
}

async fn a_transaction_applies_every_step(place: &Place) {
    place.api.put("store", "old", "x").await;
    let steps = [
        Operation::Upsert(Item::new("new", json!({"n": 1}))),
        Operation::Upsert(Item::new("also", "text")),
        Operation::Delete(Item::new("old", Value::Null)),
    ];
    place.api.transact("store", &steps, &[]).await.expect("transaction");
    assert_eq!(place.api.value("store", "new").await, json!({"n": 1}));
    assert_eq!(place.api.value("store", "also").await, json!("text"));
    assert_eq!(place.api.value("store", "old").await, Value::Null);
}

async fn a_transaction_applies_all_or_nothing(place: &Place) {
    place.api.put("store", "guarded", "kept").await;
    let stale = stale_etag(&place.api, "guarded").await;
    let steps = [
        Operation::Upsert(Item::new("other", "must not appear")),
        Operation::Upsert(Item::new("guarded", "must not change").etag(&stale).first_write()),
    ];
    let error = place.api.transact("store", &steps, &[]).await.expect_err("a stale etag");
    assert!(error.http_status >= 400 || error.code.is_some(), "{error:?}");
    // Redis has no way back from a step that ran; the guard itself holds everywhere.
    if place.store != Store::Redis {
        assert_eq!(place.api.value("store", "other").await, Value::Null);
    }
    assert_eq!(place.api.value("store", "guarded").await, json!("kept again"));
}

async fn an_empty_transaction_is_accepted(place: &Place) {
    place.api.transact("store", &[], &[]).await.expect("an empty transaction");
}
