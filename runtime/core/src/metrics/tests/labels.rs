use crate::metrics::path::{HttpLabels, low_cardinality};
use crate::metrics::patterns::Patterns;
use crate::metrics::{HttpOptions, Metrics, MetricsError, MetricsOptions};

fn patterns(all: &[&str], increased: bool) -> Patterns {
    let all: Vec<_> = all.iter().map(|pattern| (*pattern).to_owned()).collect();
    Patterns::new(&all, increased).unwrap()
}

fn labels(patterns: &[&str], increased: bool, exclude_verbs: bool) -> HttpLabels {
    let path_matching = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    HttpLabels::new(&HttpOptions { increased_cardinality: increased, path_matching, exclude_verbs }).unwrap()
}

#[test]
fn keys_and_ids_are_taken_out_of_paths() {
    let cases = [
        ("/v1/state/statestore/key", "/v1/state/statestore"),
        ("/v1/state/statestore", "/v1/state/statestore"),
        ("/v1/secrets/keyvault/name", "/v1/secrets/keyvault"),
        ("/v1/publish/topic", "/v1/publish/topic"),
        ("/healthz", "/healthz"),
        ("//v1//state/statestore/key", "/v1/state/statestore"),
        ("/v1/actors/DemoActor/1/timer/name", "/v1/actors/DemoActor/{id}/timer"),
        ("v1/actors/DemoActor/1/timer/name", "/v1/actors/DemoActor/{id}/timer"),
        ("/v1/actors/DemoActor/1", "/v1/actors/DemoActor/1"),
        ("actors/DemoActor/1/method/method1", "actors/DemoActor/{id}/method/method1"),
        ("actors/DemoActor/1/method/timer/timer1", "actors/DemoActor/{id}/method/timer/timer1"),
        ("actors/DemoActor/1", "actors/DemoActor/{id}"),
        ("/v1.0-alpha1/workflows/c/mywf/start?instanceID=1", "/v1.0-alpha1/workflows/c/mywf/start"),
        ("/v1.0-alpha1/workflows/c/1234/start/a/b", "/v1.0-alpha1/workflows/c/{instanceId}/start"),
        ("/v1.0-alpha1/workflows/c/1234/terminate/a", "/v1.0-alpha1/workflows/c/{instanceId}/terminate"),
        ("/v1.0/workflows/c/1234/raiseEvent/foo", "/v1.0/workflows/c/{instanceId}/raiseEvent/{eventName}"),
        ("/v1.0/workflows/c/1234", "/v1.0/workflows/c/{instanceId}"),
        ("/v1.0/workflows/c", "/v1.0/workflows/c"),
        ("/v1.0/workflows", "/v1.0/workflows"),
        ("", ""),
    ];
    for (path, label) in cases {
        assert_eq!(low_cardinality(path), label, "{path}");
        assert_eq!(low_cardinality(label), label, "a label stays what it is");
    }
}

#[test]
fn patterns_match_like_go() {
    let orders = patterns(&["/v1/orders/{id}/items/12345", "/v1/orders/{id}/items/{item}", "/v1/orders/{id}", "/v1/", "/"], false);
    let cases = [
        ("/v1/orders/12345/items/12345", "/v1/orders/{id}/items/12345"),
        ("/v1/orders/12345/items/1", "/v1/orders/{id}/items/{item}"),
        ("/v1/orders/1", "/v1/orders/{id}"),
        ("/v1/basket", "/v1/"),
        ("/v1", "/v1/"),
        ("/v2/orders/1", "/"),
        ("//v1/./orders/../orders/7", "/v1/orders/{id}"),
        ("/v1.0/invoke/app/method/v1/orders/9", "/v1.0/invoke/{app_id}/method/v1/orders/{id}"),
    ];
    for (path, pattern) in cases {
        assert_eq!(orders.find(path).as_deref(), Some(pattern), "{path}");
    }
    assert_eq!(orders.find(""), None);
    assert_eq!(patterns(&["/a"], false).find("/b").as_deref(), Some(""));
    assert_eq!(patterns(&["/a"], true).find("//b").as_deref(), Some("/b"));
    let rest = patterns(&["/files/{rest...}", "/exact/{$}", "/sp%20ace"], false);
    assert_eq!(rest.find("/files/a/b").as_deref(), Some("/files/{rest...}"));
    assert_eq!(rest.find("/exact/").as_deref(), Some("/exact/{$}"));
    assert_eq!(rest.find("/exact/x").as_deref(), Some(""));
    assert_eq!(rest.find("/sp ace").as_deref(), Some("/sp%20ace"));
}

#[test]
fn a_malformed_pattern_is_an_error() {
    for bad in ["GET /orders", "/a/{", "/a/x{b}", "/a/{}", "/{b}/{b}", "/{a...}/b", "/{$}/b", "/{1a}"] {
        let options =
            MetricsOptions { http: HttpOptions { path_matching: vec![bad.to_owned()], ..HttpOptions::default() }, ..MetricsOptions::default() };
        let error = Metrics::new(options).unwrap_err();
        assert!(matches!(error, MetricsError::PathPattern { .. }), "{bad}: {error}");
    }
}

#[test]
fn path_labels_follow_cardinality_and_patterns() {
    let actor = ["/v1.0/actors/myactortype/{id}/method"];
    for increased in [true, false] {
        let labels = labels(&actor, increased, false);
        assert_eq!(labels.server_path("//v1.0/actors/myactortype/myid/method/foo"), "/v1.0/actors/myactortype/{id}/method");
    }
    assert_eq!(labels(&actor, false, false).server_path("//v1.0/actors/unknown/myid/method/foo"), "");
    let invoke = ["/v1.0/invoke/myapp/method/orders/{orderID}", "/v1.0/invoke/myapp/method/basket"];
    let high = labels(&invoke, true, false);
    assert_eq!(high.server_path("/v1.0/invoke/myapp/method/orders/1"), "/v1.0/invoke/myapp/method/orders/{orderID}");
    assert_eq!(high.server_path("/v1.0/invoke/myapp/method/basket"), "/v1.0/invoke/myapp/method/basket");
    assert_eq!(high.server_path("/v1.0/invoke/myapp/method/items/123"), "/v1.0/invoke/myapp/method/items/123");
    assert_eq!(high.server_path("/v1.0/healthz"), "/v1.0/healthz");
    let low = labels(&["/v1.0/state/mystore/{key}", "/orders/{id}"], false, false);
    assert_eq!(low.server_path("/v1.0/state/mystore/a"), "/v1.0/state/mystore/{key}");
    assert_eq!(low.server_path("/v1.0/state/other/a"), "");
    assert_eq!(low.client_path("orders/7"), "/orders/{id}");
    assert_eq!(low.client_path("/dapr/config"), "/dapr/config");
}

#[test]
fn verbs_can_be_left_out() {
    assert_eq!(labels(&[], true, true).method("GET"), "");
    assert_eq!(labels(&[], true, false).method("TRACE"), "TRACE");
    assert_eq!(labels(&[], true, false).method("get"), "UNKNOWN");
}
