use super::*;
use std::fs;

fn no_env(_: &str) -> Option<String> {
    None
}

fn load(texts: &[&str]) -> Result<Configuration, Error> {
    load_with(texts, &no_env)
}

fn load_with(texts: &[&str], env: &dyn Fn(&str) -> Option<String>) -> Result<Configuration, Error> {
    let dir = tempfile::tempdir().unwrap();
    let write = |(index, text): (usize, &&str)| {
        let path = dir.path().join(format!("{index}.yaml"));
        fs::write(&path, text).unwrap();
        path
    };
    load_configuration_with(&texts.iter().enumerate().map(write).collect::<Vec<_>>(), env)
}

#[test]
fn nothing_configured_means_the_defaults() {
    let configuration = load(&[]).unwrap();
    assert_eq!(configuration, Configuration::default());
    assert!(configuration.metrics.enabled && configuration.tracing.otel.is_secure);
    assert!(configuration.feature_enabled("HotReload") && !configuration.feature_enabled("ActorStateTTL"));
    let control = configuration.access_control.unwrap();
    assert_eq!((control.default_action.as_str(), control.trust_domain.as_str()), ("allow", "public"));
}

#[test]
fn reads_every_part() {
    let configuration = load(&["apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: daprConfig}
spec:
  httpPipeline: {handlers: [{name: up, type: middleware.http.uppercase, version: v1, selector: {fields: [{field: a, value: b}]}}]}
  appHttpPipeline: {handlers: [{name: x, type: middleware.http.y}]}
  tracing: {samplingRate: 0.5, stdout: true, zipkin: {endpointAddress: 'http://z'}, otel: {protocol: grpc, endpointAddress: 'o:4317', isSecure: false, headers: [a=b], timeout: 5s}}
  mtls: {enabled: true, workloadCertTTL: 24h, tokenValidators: [{name: jwks, options: {source: x}}]}
  metric: {enabled: false, rules: [{name: m, labels: [{name: l, regex: {r: '.*'}}]}], latencyDistributionBuckets: [1, 2]}
  metrics: {enabled: true, recordErrorCodes: true, rules: [], http: {increasedCardinality: false, pathMatching: [/a], excludeVerbs: true}, workflow: {latencyDistributionBuckets: [1, 5], latencyDistributionUnits: 1s}}
  secrets: {scopes: [{storeName: s, defaultAccess: Deny, allowedSecrets: [b, a]}]}
  accessControl: {defaultAction: deny, policies: [{appId: a, namespace: n, operations: [{name: /x, httpVerb: [POST], action: allow}]}]}
  nameResolution: {component: sqlite, configuration: {connectionString: x}}
  features: [{name: ActorStateTTL, enabled: true}, {name: HotReload, enabled: false}]
  api: {allowed: [{name: state, version: v1.0, protocol: http}], denied: [{name: invoke, version: v1.0, protocol: grpc}]}
  components: {deny: [state.x, state.y/v2]}
  logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}}
  wasm: {strictSandbox: true}
  workflow: {maxConcurrentWorkflowInvocations: 5, maxConcurrentActivityInvocations: 0, workflowConcurrencyLimits: [{name: w, maxConcurrent: 2}], stateRetentionPolicy: {anyTerminal: 72h, completed: 0s}}
"]).unwrap();
    assert_eq!(configuration.warnings, Vec::<String>::new());
    assert_eq!(configuration.name.as_deref(), Some("daprConfig"));
    assert_eq!(configuration.http_pipeline[0].selector, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(configuration.tracing.sampling_rate, "0.5");
    assert_eq!(configuration.tracing.otel.timeout, Some(std::time::Duration::from_secs(5)));
    assert_eq!(configuration.mtls.token_validators[0].options["source"], "x");
    let metrics = &configuration.metrics;
    assert!(metrics.enabled && metrics.record_error_codes && !metrics.http.increased_cardinality);
    assert_eq!((metrics.rules.len(), metrics.latency_distribution_buckets.as_slice()), (1, &[1, 2][..]));
    assert_eq!(metrics.workflow_latency_buckets, [1000.0, 5000.0]);
    assert_eq!(configuration.secrets[0].allowed_secrets, ["a", "b"]);
    assert!(configuration.secrets[0].allows("a") && !configuration.secrets[0].allows("c"));
    let control = configuration.access_control.as_ref().unwrap();
    assert_eq!((control.trust_domain.as_str(), control.policies[0].operations.len()), ("public", 1));
    assert!(!configuration.feature_enabled("HotReload"));
    assert_eq!(configuration.enabled_features(), ["ActorStateTTL", "WorkflowsRemoteActivityReminder"]);
    assert_eq!(configuration.denied_components.len(), 2);
    assert!(configuration.wasm_strict_sandbox && configuration.api_logging.enabled);
    assert_eq!((configuration.workflow.max_concurrent_workflows, configuration.workflow.max_concurrent_activities), (Some(5), None));
    assert_eq!(configuration.workflow.retention.completed, Some(std::time::Duration::ZERO));
}

#[test]
fn later_files_are_laid_over_earlier_ones() {
    let configuration = load(&[
        "spec: {tracing: {samplingRate: '1', zipkin: {endpointAddress: a}}, features: [{name: A, enabled: true}], nameResolution: {component: x, configuration: {a: 1}}}",
        "spec: {tracing: {samplingRate: '0'}, features: [{name: B, enabled: true}], nameResolution: {configuration: {b: 1}}, accessControl: null}",
    ])
    .unwrap();
    assert_eq!((configuration.tracing.sampling_rate.as_str(), configuration.tracing.zipkin_endpoint.as_deref()), ("0", Some("a")));
    assert!(configuration.feature_enabled("B") && !configuration.feature_enabled("A"));
    let resolution = configuration.name_resolution.unwrap();
    assert_eq!((resolution.component.as_str(), resolution.configuration), ("x", serde_json::json!({"b": 1})));
    assert_eq!(configuration.access_control, None);
}

#[test]
fn variables_are_replaced_in_the_text() {
    let env = |name: &str| (name == "RATE").then(|| "0.25".to_owned());
    let configuration = load_with(&["spec: {tracing: {samplingRate: $RATE, otel: {endpointAddress: '${NOWHERE}'}}}"], &env).unwrap();
    assert_eq!(configuration.tracing.sampling_rate, "0.25");
    assert_eq!(configuration.tracing.otel.endpoint_address, "");
}

#[test]
fn errors_are_daprs() {
    let text = |document: &str| load(&[document]).unwrap_err().to_string();
    let twice = "spec: {secrets: {scopes: [{storeName: s}, {storeName: s}]}}";
    assert_eq!(text(twice), "s storeName is repeated in secrets configuration");
    let access = "spec: {secrets: {scopes: [{storeName: s, defaultAccess: maybe}]}}";
    assert_eq!(text(access), "defaultAccess maybe can be either allow or deny");
    assert!(text("spec: {mtls: {enabled: 5}}").contains("spec.mtls.enabled: expected true or false, found the number 5"));
    assert!(text("spec: [").contains("yaml: "));
    let missing = load_configuration(&["/does/not/exist.yaml".into()]).unwrap_err().to_string();
    assert_eq!(missing, "stat /does/not/exist.yaml: no such file or directory");
}

#[test]
fn unknown_fields_are_remarks() {
    let configuration = load(&["spec: {tracin: {}, metrics: {enable: true}}"]).unwrap();
    assert!(configuration.warnings.iter().any(|warning| warning.contains("\"tracing\"")), "{:?}", configuration.warnings);
    assert!(configuration.warnings.iter().any(|warning| warning.starts_with("spec.metrics.enable: ")), "{:?}", configuration.warnings);
}

#[test]
fn the_exporter_comes_from_the_environment_unless_configured() {
    let env = |name: &str| {
        let value = match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => "https://collector:4317",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" => "http/protobuf",
            "OTEL_EXPORTER_OTLP_INSECURE" => "true",
            "OTEL_EXPORTER_OTLP_HEADERS" => "a=b%20c, d = e",
            "OTEL_EXPORTER_OTLP_TIMEOUT" => "1500",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let mut configuration = Configuration::default();
    configuration.apply_otel_environment(&env).unwrap();
    let otel = configuration.tracing.otel.clone();
    assert_eq!((otel.endpoint_address.as_str(), otel.protocol.as_str(), otel.is_secure), ("collector:4317", "http", false));
    assert_eq!(otel.headers, ["a=b c", "d=e"]);
    assert_eq!((otel.timeout, configuration.tracing.sampling_rate.as_str()), (Some(std::time::Duration::from_millis(1500)), "1"));
    configuration.tracing.otel.endpoint_address = "mine".into();
    configuration.apply_otel_environment(&env).unwrap();
    assert_eq!(configuration.tracing.otel.endpoint_address, "mine");
}
