//! The file of a secret store changes: the store and every component that takes a value from it are swapped.

use std::path::Path;

use proa_harness::{Redis, Wire, against_dapr, component};
use serde_json::json;

use crate::guests::sidecar;
use crate::load::under_load;
use crate::process::{generation, swapped};

const PASSWORDS: [&str; 2] = ["first password", "second password"];

fn store(host: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  type: state.redis\n  version: v1\n  metadata:\n    - name: redisHost\n      value: {host:?}\n    - name: redisPassword\n      secretKeyRef:\n        name: redis-password\n        key: redis-password\nauth:\n  secretStore: vault\n"
    )
}

fn write(file: &Path, password: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, json!({ "redis-password": password }).to_string()).expect("secrets");
    std::fs::rename(next, file).expect("secrets in place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_secret_reaches_the_store() {
    if against_dapr() {
        return;
    }
    let redis = Redis::builder().password(PASSWORDS[0]).start().await;
    redis.command(&["ACL", "SETUSER", "default", &format!(">{}", PASSWORDS[1])]).await;
    let home = tempfile::tempdir().expect("home");
    let file = home.path().join("secrets.json");
    write(&file, PASSWORDS[0]);
    let vault = component("vault", "secretstores.local.file", &[("secretsFile", &file.display().to_string())]);
    // The store's file is read before the secret store's: order of files must not matter.
    let sidecar = sidecar().resource_file("a-store.yaml", store(&redis.host())).resource_file("z-vault.yaml", vault).start().await;
    let mut number = generation(&sidecar, "store").await;
    let mut last = PASSWORDS[0];
    under_load("secret file changed", &sidecar, "store", async |n| {
        last = PASSWORDS[n as usize % 2];
        write(&file, last);
        number = swapped(&sidecar, "store", number).await;
    })
    .await;
    // Only the password of the file is valid from now on, and every connection has to show it again.
    let other = PASSWORDS.iter().find(|password| **password != last).expect("two passwords");
    redis.command(&["ACL", "SETUSER", "default", &format!("<{other}")]).await;
    let api = sidecar.api(Wire::Http).await;
    api.put("store", "after", 1).await;
    let secret = sidecar.http().get("/v1.0/secrets/vault/redis-password").await.expect_status(200).json();
    assert_eq!(secret["redis-password"], last);
    assert!(!PASSWORDS.iter().any(|password| sidecar.logs().contain(password)), "no secret is in the log");
}
