use super::{MS, default_metrics, has, lacks, metrics};
use crate::metrics::{Family, Metrics, MetricsOptions, Rule, RuleLabel, Series};

#[test]
fn rules_rewrite_labels_of_one_metric() {
    let rule = Rule {
        name: "dapr_http_server_request_count".into(),
        labels: vec![RuleLabel {
            name: "path".into(),
            regex: vec![("/orders/TEST".into(), r"/orders/\d+".into()), ("$1/x".into(), "(/basket)/.+".into())],
        }],
    };
    let metrics = metrics(|options| options.rules = vec![rule]);
    for path in ["/orders/1", "/orders/2", "/basket/1", "/siths/1"] {
        metrics.http_server("GET", path, 200, MS, 0, 0);
    }
    let count = |path| format!(r#"dapr_http_server_request_count{{app_id="myapp",method="GET",path="{path}",status="200"}}"#);
    has(&metrics, &format!("{} 2", count("/orders/TEST")));
    has(&metrics, &format!("{} 1", count("/basket/x")));
    has(&metrics, &format!("{} 1", count("/siths/1")));
    has(&metrics, r#"dapr_http_server_response_count{app_id="myapp",method="GET",path="/orders/2",status="200"} 1"#);
    has(&metrics, r#"dapr_http_server_latency_count{app_id="myapp",method="GET",path="/orders/1",status="200"} 1"#);
}

#[test]
fn a_rule_that_is_no_expression_is_an_error() {
    let rule =
        Rule { name: "dapr_http_server_latency".into(), labels: vec![RuleLabel { name: "path".into(), regex: vec![("x".into(), "(".into())] }] };
    let error = Metrics::new(MetricsOptions { rules: vec![rule], ..MetricsOptions::default() }).unwrap_err();
    assert!(error.to_string().starts_with("failed to compile regex for rule http/server/latencypath/x: "), "{error}");
}

#[test]
fn a_label_that_cannot_be_exposed_drops_the_record() {
    let metrics = default_metrics();
    metrics.http_server("GET", "/v1.0/invoke/a/method/hé", 200, MS, 0, 0);
    metrics.http_server("GET", &"/x".repeat(128), 200, MS, 0, 0);
    lacks(&metrics, "dapr_http_server_request_count");
    has(&metrics, r#"dapr_http_server_request_bytes_count{app_id="myapp"} 2"#);
    has(&metrics, r#"proa_metrics_dropped_total{app_id="myapp",reason="invalid_label"} 2"#);
}

#[test]
fn a_family_stops_growing_at_its_limit() {
    let metrics = default_metrics();
    for key in 0..20_010 {
        metrics.count(Series::MtlsInitFail, &[&key.to_string()]);
    }
    metrics.count(Series::MtlsInitFail, &["7"]);
    has(&metrics, r#"dapr_runtime_mtls_init_fail_total{app_id="myapp",reason="7"} 2"#);
    has(&metrics, r#"proa_metrics_dropped_total{app_id="myapp",reason="series_limit"} 10"#);
}

#[test]
fn buckets_come_from_the_configuration() {
    let metrics = metrics(|options| options.latency_buckets = Some(vec![0.0, 50.0, 5.0, 5.0]));
    metrics.http_server("GET", "/", 200, 6 * MS, 0, 0);
    let labels = r#"app_id="myapp",method="GET",path="/",status="200""#;
    has(&metrics, &format!(r#"dapr_http_server_latency_bucket{{{labels},le="5"}} 0"#));
    has(&metrics, &format!(r#"dapr_http_server_latency_bucket{{{labels},le="50"}} 1"#));
    lacks(&metrics, "le=\"0\"");
}

#[test]
fn disabled_metrics_still_show_the_process() {
    let metrics = Metrics::new(MetricsOptions { enabled: false, ..MetricsOptions::default() }).unwrap();
    metrics.count_tasks_with(|| 42);
    metrics.component(Family::State, "a", "get").observe(true, MS);
    metrics.guest("a", "b").calls(1);
    metrics.http_server("GET", "/", 200, MS, 0, 0);
    lacks(&metrics, "dapr_");
    has(&metrics, "go_goroutines 42");
    let text = metrics.render();
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} in {text}");
    }
}
