//! Etags: who writes with an old one is told so, and no update is lost.

use proa_harness::{Api, Item};
use serde_json::{Value, json};
use tonic::Code;

use crate::stores::{Place, Store};

over_every_store!(
    a_stale_etag_is_refused,
    a_stale_etag_does_not_delete,
    an_etag_of_a_missing_key_is_refused,
    first_write_wins_without_an_etag,
    parallel_writers_with_etags_lose_no_update,
);

async fn a_stale_etag_is_refused(place: &Place) {
    place.api.put("store", "k", "kept").await;
    let stale = stale_etag(&place.api, "k").await;
    let error = place.api.save("store", &[Item::new("k", "lost").etag(&stale)]).await.expect_err("a stale etag");
    error.expect(409, Code::Aborted, "ERR_STATE_SAVE").says("failed saving state in state store store: ").says("possible etag mismatch");
    let fresh = place.api.get("store", "k").await.expect("get").etag.expect("an etag");
    place.api.save("store", &[Item::new("k", "newest").etag(&fresh)]).await.expect("the current etag");
    assert_eq!(place.api.value("store", "k").await, json!("newest"));
}

async fn a_stale_etag_does_not_delete(place: &Place) {
    place.api.put("store", "k", "kept").await;
    let stale = stale_etag(&place.api, "k").await;
    let error = place.api.remove("store", &Item::new("k", Value::Null).etag(&stale)).await.expect_err("a stale etag");
    error.expect(409, Code::Aborted, "ERR_STATE_DELETE").says("failed deleting state with key k: ");
    let fresh = place.api.get("store", "k").await.expect("get").etag.expect("an etag");
    place.api.remove("store", &Item::new("k", Value::Null).etag(&fresh)).await.expect("the current etag");
    assert_eq!(place.api.value("store", "k").await, Value::Null);
}

async fn an_etag_of_a_missing_key_is_refused(place: &Place) {
    // Redis compares with the version it finds, and without one there is nothing to compare.
    if place.store == Store::Redis {
        return;
    }
    let error = place.api.save("store", &[Item::new("missing", "x").etag("no-such-etag")]).await.expect_err("an etag nobody gave out");
    error.expect(409, Code::Aborted, "ERR_STATE_SAVE");
    assert_eq!(place.api.value("store", "missing").await, Value::Null);
}

async fn first_write_wins_without_an_etag(place: &Place) {
    place.api.save("store", &[Item::new("first", 1).first_write()]).await.expect("the first write");
    let second = place.api.save("store", &[Item::new("first", 2).first_write()]).await;
    second.expect_err("the second write");
    assert_eq!(place.api.value("store", "first").await, json!(1));
}

/// Every writer reads, adds one and writes with the etag it read, until it succeeds: the sum must come out.
async fn parallel_writers_with_etags_lose_no_update(place: &Place) {
    const WRITERS: usize = 4;
    const EACH: usize = 5;
    place.api.put("store", "sum", 0).await;
    let writer = |api: Api| async move {
        for _ in 0..EACH {
            loop {
                let found = api.get("store", "sum").await.expect("get");
                let next = found.json().as_i64().expect("a number") + 1;
                let item = Item::new("sum", next).etag(&found.etag.expect("an etag")).first_write();
                match api.save("store", &[item]).await {
                    Ok(()) => break,
                    Err(error) => error.expect(409, Code::Aborted, "ERR_STATE_SAVE"),
                };
            }
        }
    };
    futures::future::join_all((0..WRITERS).map(|_| writer(place.api.clone()))).await;
    assert_eq!(place.api.value("store", "sum").await, json!(WRITERS * EACH));
}

/// An etag that was right once: writes the key again in between.
pub async fn stale_etag(api: &Api, key: &str) -> String {
    let etag = api.get("store", key).await.expect("get").etag.expect("an etag");
    api.put("store", key, "kept again").await;
    etag
}
