//! Output bindings: files, the web, Redis.

use proa_harness::{Answer, App, AppEndpoint, Redis, Sidecar, Wire, component};
use serde_json::{Value, json};
use tonic::Code;

over_both_wires!(
    a_file_is_created_read_listed_and_deleted,
    a_file_outside_of_the_root_is_refused,
    the_web_is_called_with_method_headers_and_body,
    a_web_error_is_an_error_or_a_status,
    redis_keys_are_set_and_read,
    an_unknown_binding_is_named,
    an_unknown_operation_is_named_with_the_known_ones,
);

fn files() -> String {
    component("files", "bindings.localstorage", &[("rootPath", "files")])
}

async fn a_file_is_created_read_listed_and_deleted(wire: Wire) {
    let sidecar = Sidecar::builder().resource(files()).start().await;
    let api = sidecar.api(wire).await;
    let name = [("fileName", "folder/note.txt")];
    let made = api.invoke_binding("files", "create", json!("a note"), &name).await.expect("create");
    let made: Value = serde_json::from_slice(&made.data).expect("JSON");
    assert!(made["fileName"].as_str().is_some_and(|path| path.ends_with("folder/note.txt")), "{made}");
    assert_eq!(std::fs::read_to_string(sidecar.home().join("files/folder/note.txt")).expect("the file"), "a note");

    let read = api.invoke_binding("files", "get", Value::Null, &name).await.expect("get");
    assert_eq!(read.data, "a note");
    let listed = api.invoke_binding("files", "list", Value::Null, &[("fileName", "folder")]).await.expect("list");
    let listed: Vec<String> = serde_json::from_slice(&listed.data).expect("JSON");
    assert!(listed.len() == 1 && listed[0].ends_with("folder/note.txt"), "{listed:?}");
    api.invoke_binding("files", "delete", Value::Null, &name).await.expect("delete");
    assert!(!sidecar.home().join("files/folder/note.txt").exists());
    let error = api.invoke_binding("files", "get", Value::Null, &name).await.expect_err("a deleted file");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("error invoking output binding files: ").says("file not found");
}

async fn a_file_outside_of_the_root_is_refused(wire: Wire) {
    let sidecar = Sidecar::builder().resource(files()).start().await;
    std::fs::write(sidecar.home().join("private.txt"), "private").expect("a file outside");
    let api = sidecar.api(wire).await;
    // Dapr resolves the dots within the root; either way the file outside stays out of reach.
    let read = api.invoke_binding("files", "get", Value::Null, &[("fileName", "../private.txt")]).await;
    read.expect_err("a path that leaves the root");
    let _ = api.invoke_binding("files", "create", json!("overwritten"), &[("fileName", "../private.txt")]).await;
    assert_eq!(std::fs::read_to_string(sidecar.home().join("private.txt")).expect("the file"), "private");
}

async fn the_web_is_called_with_method_headers_and_body(wire: Wire) {
    let web = App::start().await;
    web.answer("/echo/deep", Answer::json(json!({"ok": true})).header("x-answer", "yes"));
    let url = format!("http://127.0.0.1:{}/echo", web.port());
    let sidecar = Sidecar::builder().resource(component("web", "bindings.http", &[("url", &url)])).start().await;
    let api = sidecar.api(wire).await;
    let metadata = [("path", "/deep"), ("X-Question", "why")];
    let reply = api.invoke_binding("web", "post", json!({"n": 1}), &metadata).await.expect("post");
    assert_eq!(serde_json::from_slice::<Value>(&reply.data).expect("JSON"), json!({"ok": true}));
    assert_eq!(reply.metadata.get("statuscode").map(String::as_str), Some("200"), "{reply:?}");
    assert_eq!(reply.metadata.get("x-answer").map(String::as_str), Some("yes"), "{reply:?}");
    let seen = web.requests("/echo/deep");
    assert_eq!((seen[0].method.as_str(), seen[0].json()), ("POST", json!({"n": 1})));
    assert_eq!(seen[0].header("x-question").as_deref(), Some("why"));

    api.invoke_binding("web", "get", Value::Null, &metadata).await.expect("get");
    api.invoke_binding("web", "create", json!(1), &metadata).await.expect("create");
    let methods: Vec<String> = web.requests("/echo/deep").into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["POST", "GET", "POST"]);
}

async fn a_web_error_is_an_error_or_a_status(wire: Wire) {
    let web = App::start().await;
    web.answer("/teapot", Answer::status(418).body("short and stout"));
    let url = format!("http://127.0.0.1:{}/teapot", web.port());
    let tolerant = component("tolerant", "bindings.http", &[("url", &url), ("errorIfNot2XX", "false")]);
    let sidecar = Sidecar::builder().resource(component("strict", "bindings.http", &[("url", &url)])).resource(tolerant).start().await;
    let api = sidecar.api(wire).await;
    let error = api.invoke_binding("strict", "get", Value::Null, &[]).await.expect_err("a status that is no success");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("received status code 418");
    let reply = api.invoke_binding("tolerant", "get", Value::Null, &[]).await.expect("an answer");
    assert_eq!(reply.data, "short and stout");
    assert_eq!(reply.metadata.get("statuscode").map(String::as_str), Some("418"));
}

async fn redis_keys_are_set_and_read(wire: Wire) {
    let redis = Redis::start().await;
    let sidecar = Sidecar::builder().resource(component("keys", "bindings.redis", &[("redisHost", &redis.host())])).start().await;
    let api = sidecar.api(wire).await;
    api.invoke_binding("keys", "create", json!("kept"), &[("key", "k")]).await.expect("create");
    assert!(redis.command(&["GET", "k"]).await.text().contains("kept"));
    let read = api.invoke_binding("keys", "get", Value::Null, &[("key", "k")]).await.expect("get");
    assert!(String::from_utf8_lossy(&read.data).contains("kept"), "{read:?}");
    let counted = api.invoke_binding("keys", "increment", Value::Null, &[("key", "n")]).await.expect("increment");
    drop(counted);
    assert_eq!(redis.command(&["GET", "n"]).await.text(), "1");
    api.invoke_binding("keys", "delete", Value::Null, &[("key", "k")]).await.expect("delete");
    assert_eq!(redis.command(&["EXISTS", "k"]).await.int(), 0);
}

async fn an_unknown_binding_is_named(wire: Wire) {
    let sidecar = Sidecar::builder().resource(files()).start().await;
    let error = sidecar.api(wire).await.invoke_binding("nothing", "create", Value::Null, &[]).await.expect_err("an unknown binding");
    error.expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING").says("couldn't find output binding nothing");
}

async fn an_unknown_operation_is_named_with_the_known_ones(wire: Wire) {
    let sidecar = Sidecar::builder().resource(files()).start().await;
    let error = sidecar.api(wire).await.invoke_binding("files", "invent", Value::Null, &[]).await.expect_err("an unknown operation");
    error
        .expect(500, Code::Internal, "ERR_INVOKE_OUTPUT_BINDING")
        .says("binding files does not support operation invent. supported operations:")
        .says("create");
}

#[tokio::test]
async fn a_malformed_body_over_http() {
    let sidecar = Sidecar::builder().resource(files()).start().await;
    let reply = sidecar.http().request("POST", "/v1.0/bindings/files").body("{oops").send().await.expect_status(400);
    assert_eq!(reply.json()["errorCode"], "ERR_MALFORMED_REQUEST");
}
