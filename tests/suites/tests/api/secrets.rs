//! Secrets from a file and from the environment, and the scopes that hide them.

use proa_harness::api::pairs;
use proa_harness::{Sidecar, SidecarBuilder, Wire, component, configuration};
use tonic::Code;

over_both_wires!(
    one_secret,
    nested_secrets_have_joined_names,
    all_secrets,
    secrets_of_the_environment,
    several_values_under_one_name,
    a_missing_secret,
    a_missing_store,
    without_any_store,
    scopes_allow_by_name,
    scopes_deny_by_name,
);

const FILE: &str = r#"{"colour": "blue", "shape": "round", "database": {"user": "me", "password": "open sesame"}}"#;

/// A sidecar with the store `file`; the guard keeps its folder.
fn with_file(more: &[(&str, &str)]) -> (SidecarBuilder, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("secrets.json");
    std::fs::write(&path, FILE).expect("secrets");
    let path = path.display().to_string();
    let metadata = [&[("secretsFile", path.as_str())], more].concat();
    (Sidecar::builder().resource(component("file", "secretstores.local.file", &metadata)), folder)
}

async fn one_secret(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let sidecar = builder.start().await;
    assert_eq!(sidecar.api(wire).await.secret("file", "colour", &[]).await.expect("a secret"), pairs(&[("colour", "blue")]));
}

async fn nested_secrets_have_joined_names(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let sidecar = builder.start().await;
    let found = sidecar.api(wire).await.secret("file", "database:password", &[]).await.expect("a secret");
    assert_eq!(found, pairs(&[("database:password", "open sesame")]));

    let (builder, _folder) = with_file(&[("nestedSeparator", "/")]);
    let sidecar = builder.start().await;
    let found = sidecar.api(wire).await.secret("file", "database/user", &[]).await.expect("a secret");
    assert_eq!(found, pairs(&[("database/user", "me")]));
}

async fn all_secrets(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let sidecar = builder.start().await;
    let all = sidecar.api(wire).await.secrets("file").await.expect("secrets");
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["colour", "database:password", "database:user", "shape"]);
    assert_eq!(all["shape"], pairs(&[("shape", "round")]));
}

async fn secrets_of_the_environment(wire: Wire) {
    let sidecar = Sidecar::builder().resource(component("env", "secretstores.local.env", &[]));
    let sidecar = sidecar.env("A_SECRET", "from outside").env("DAPR_HIDDEN", "not for apps").env("APP_API_TOKEN", "nor this").start().await;
    let api = sidecar.api(wire).await;
    assert_eq!(api.secret("env", "A_SECRET", &[]).await.expect("a secret"), pairs(&[("A_SECRET", "from outside")]));
    let all = api.secrets("env").await.expect("secrets");
    assert_eq!(all.get("A_SECRET"), Some(&pairs(&[("A_SECRET", "from outside")])));
    assert!(!all.contains_key("APP_API_TOKEN") && !all.contains_key("DAPR_HIDDEN"), "{:?}", all.keys());
    let hidden = api.secret("env", "APP_API_TOKEN", &[]).await.expect("an empty secret");
    assert!(hidden.values().all(String::is_empty), "{hidden:?}");
}

async fn several_values_under_one_name(wire: Wire) {
    let (builder, _folder) = with_file(&[("multiValued", "true")]);
    let sidecar = builder.start().await;
    let found = sidecar.api(wire).await.secret("file", "database", &[]).await.expect("a secret");
    assert_eq!(found, pairs(&[("user", "me"), ("password", "open sesame")]));
}

async fn a_missing_secret(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let sidecar = builder.start().await;
    let error = sidecar.api(wire).await.secret("file", "nothing", &[]).await.expect_err("a missing secret");
    error.expect(500, Code::Internal, "ERR_SECRET_GET").says("nothing").says("file");
}

async fn a_missing_store(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let sidecar = builder.start().await;
    let api = sidecar.api(wire).await;
    for error in [api.secret("nowhere", "colour", &[]).await.expect_err("get"), api.secrets("nowhere").await.expect_err("bulk")] {
        error.expect(401, Code::InvalidArgument, "ERR_SECRET_STORE_NOT_FOUND");
        assert_eq!(error.message, "failed finding secret store with key nowhere");
    }
}

async fn without_any_store(wire: Wire) {
    let sidecar = Sidecar::builder().start().await;
    let error = sidecar.api(wire).await.secret("file", "colour", &[]).await.expect_err("no store at all");
    error.expect(500, Code::FailedPrecondition, "ERR_SECRET_STORES_NOT_CONFIGURED");
}

async fn scopes_allow_by_name(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let scopes = "  secrets:\n    scopes:\n      - storeName: file\n        defaultAccess: deny\n        allowedSecrets: [colour]";
    let sidecar = builder.config(configuration(scopes)).start().await;
    let api = sidecar.api(wire).await;
    assert_eq!(api.secret("file", "colour", &[]).await.expect("an allowed secret"), pairs(&[("colour", "blue")]));
    let error = api.secret("file", "shape", &[]).await.expect_err("a hidden secret");
    error.expect(403, Code::PermissionDenied, "ERR_PERMISSION_DENIED").says("access denied by policy to get \"shape\" from \"file\"");
    let names: Vec<String> = api.secrets("file").await.expect("secrets").into_keys().collect();
    assert_eq!(names, ["colour"]);
}

async fn scopes_deny_by_name(wire: Wire) {
    let (builder, _folder) = with_file(&[]);
    let scopes = "  secrets:\n    scopes:\n      - storeName: file\n        defaultAccess: allow\n        deniedSecrets: [\"database:password\"]";
    let sidecar = builder.config(configuration(scopes)).start().await;
    let api = sidecar.api(wire).await;
    api.secret("file", "database:user", &[]).await.expect("an allowed secret");
    let error = api.secret("file", "database:password", &[]).await.expect_err("a hidden secret");
    error.expect(403, Code::PermissionDenied, "ERR_PERMISSION_DENIED");
    assert!(!api.secrets("file").await.expect("secrets").contains_key("database:password"));
}
