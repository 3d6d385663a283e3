//! Values encrypted by the sidecar before a store sees them.

use proa_harness::api::Operation;
use proa_harness::{Item, Redis, Sidecar, SidecarBuilder, Wire, against_dapr};
use serde_json::json;
use tonic::Code;

over_both_wires!(values_are_unreadable_in_the_store, bulk_and_transactions_are_encrypted_too, an_old_key_still_reads, a_plain_record_is_refused,);

const FIRST: &str = "00112233445566778899aabbccddeeff";
const SECOND: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// A store whose keys come from environment variables, by their names.
fn encrypted(redis: &Redis, primary: &str, secondary: Option<&str>) -> SidecarBuilder {
    let mut yaml = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  type: state.redis\n  version: v1\n  metadata:\n    - name: redisHost\n      value: {}\n    - name: primaryEncryptionKey\n      secretKeyRef:\n        name: {primary}\n        key: {primary}\n",
        redis.host()
    );
    if let Some(secondary) = secondary {
        yaml.push_str(&format!("    - name: secondaryEncryptionKey\n      secretKeyRef:\n        name: {secondary}\n        key: {secondary}\n"));
    }
    yaml.push_str("auth:\n  secretStore: env\n");
    let secrets = proa_harness::component("env", "secretstores.local.env", &[]);
    Sidecar::builder().resource(secrets).resource(yaml).env("KEY_ONE", FIRST).env("KEY_TWO", SECOND)
}

async fn stored(redis: &Redis, key: &str) -> String {
    redis.command(&["HGET", &format!("app||{key}"), "data"]).await.text().to_owned()
}

async fn values_are_unreadable_in_the_store(wire: Wire) {
    let redis = Redis::start().await;
    let sidecar = encrypted(&redis, "KEY_ONE", None).start().await;
    let api = sidecar.api(wire).await;
    api.put("store", "k", "a secret text").await;
    assert_eq!(api.get("store", "k").await.expect("get").value.expect("a value"), plain(wire, "a secret text"));
    let raw = stored(&redis, "k").await;
    assert!(!raw.contains("secret") && raw.contains("||"), "{raw}");
    api.put("store", "again", "a secret text").await;
    assert_ne!(stored(&redis, "again").await, raw, "the same text twice gives two ciphertexts");
}

async fn bulk_and_transactions_are_encrypted_too(wire: Wire) {
    let redis = Redis::start().await;
    let sidecar = encrypted(&redis, "KEY_TWO", None).start().await;
    let api = sidecar.api(wire).await;
    // Over gRPC Dapr encrypts the printed form of the bytes in a transaction; only that it is encrypted is common.
    api.transact("store", &[Operation::Upsert(Item::new("t", 41))], &[]).await.expect("transaction");
    api.save("store", &[Item::new("a", 42), Item::new("b", 43)]).await.expect("save");
    assert!(stored(&redis, "t").await.contains("||") && stored(&redis, "b").await.contains("||"));
    let rows = api.bulk_get("store", &["a", "b"]).await.expect("bulk get");
    for (key, value) in [("a", 42), ("b", 43)] {
        assert_eq!(rows.iter().find(|row| row.key == key).and_then(|row| row.value.clone()), Some(json!(value)), "{rows:?}");
    }
}

async fn an_old_key_still_reads(wire: Wire) {
    let redis = Redis::start().await;
    let before = encrypted(&redis, "KEY_ONE", None).start().await;
    before.api(wire).await.put("store", "k", 1).await;
    drop(before);
    let rotated = encrypted(&redis, "KEY_TWO", Some("KEY_ONE")).start().await;
    let api = rotated.api(wire).await;
    assert_eq!(api.value("store", "k").await, json!(1));
    api.put("store", "k", 2).await;
    drop(rotated);
    let after = encrypted(&redis, "KEY_TWO", None).start().await;
    assert_eq!(after.api(wire).await.value("store", "k").await, json!(2));
}

/// Dapr drops the connection over such a record.
async fn a_plain_record_is_refused(wire: Wire) {
    if against_dapr() {
        return;
    }
    let redis = Redis::start().await;
    redis.command(&["HSET", "app||k", "data", "plain", "version", "1"]).await;
    let sidecar = encrypted(&redis, "KEY_ONE", None).start().await;
    let error = sidecar.api(wire).await.get("store", "k").await.expect_err("a record nobody encrypted");
    error.expect(500, Code::Internal, "ERR_STATE_GET");
}

/// HTTP values are JSON values whose text is encrypted; gRPC values are the bytes the client sent.
fn plain(wire: Wire, text: &str) -> String {
    match wire {
        Wire::Http => text.to_owned(),
        Wire::Grpc => json!(text).to_string(),
    }
}
