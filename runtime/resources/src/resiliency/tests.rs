use super::*;
use crate::yaml;
use std::time::Duration;

fn read(text: &str) -> Result<Resiliency, Refusal> {
    let value = yaml::parse(text).unwrap();
    Resiliency::read(&mut Fields::of(Some(&value), "").unwrap(), Origin::default(), &mut Vec::new())
}

fn problem(text: &str) -> String {
    match read(text).unwrap_err() {
        Refusal::Policy { resource, problem, .. } => {
            assert_eq!(resource, "r");
            problem
        }
        Refusal::Field(error) => panic!("{error:?}"),
    }
}

#[test]
fn reads_policies_and_targets_with_defaults() {
    let resiliency = read(
        "metadata: {name: r}\nspec:\n  policies:\n    timeouts: {fast: 500ms, bare: 250}\n    retries:\n      often: {policy: exponential, maxInterval: 10s, maxRetries: 3, matching: {httpStatusCodes: '429,500-599', gRPCStatusCodes: 2}}\n      plain: {}\n    \
         circuitBreakers:\n      cb: {trip: consecutiveFailures > 2, timeout: 5s}\n      empty: {}\n  targets:\n    apps: {a: {timeout: fast, retry: often}}\n    \
         actors: {t: {circuitBreaker: cb, circuitBreakerScope: id, circuitBreakerCacheSize: 7}}\n    components: {c: {outbound: {retry: plain}}}\nscopes: [x]\n",
    )
    .unwrap();
    assert_eq!(resiliency.policies.timeouts["fast"], Duration::from_millis(500));
    assert_eq!(resiliency.policies.timeouts["bare"], Duration::from_millis(250));
    let often = &resiliency.policies.retries["often"];
    assert_eq!((often.kind, often.max_retries, often.max_interval), (RetryKind::Exponential, 3, Duration::from_secs(10)));
    assert_eq!(often.matching.http.as_deref(), Some(&[CodeRange { start: 429, end: 429 }, CodeRange { start: 500, end: 599 }][..]));
    assert_eq!(often.matching.grpc.as_deref(), Some(&[CodeRange { start: 2, end: 2 }][..]));
    let plain = &resiliency.policies.retries["plain"];
    assert_eq!((plain.kind, plain.max_retries, plain.duration), (RetryKind::Constant, -1, Duration::from_secs(5)));
    assert_eq!(plain.matching, RetryMatching::default());
    let breakers = &resiliency.policies.circuit_breakers;
    assert_eq!(breakers["cb"].trip.as_deref(), Some("consecutiveFailures > 2"));
    assert_eq!((breakers["empty"].max_requests, breakers["empty"].timeout), (1, Duration::from_secs(60)));
    assert_eq!(resiliency.targets.apps["a"].breaker_cache_size, 100);
    assert_eq!(resiliency.targets.actors["t"].breaker_scope, Some(BreakerScope::Id));
    assert_eq!(resiliency.targets.actors["t"].breaker_cache_size, 7);
    assert_eq!(resiliency.targets.components["c"].outbound.retry.as_deref(), Some("plain"));
}

#[test]
fn refuses_what_makes_no_sense_in_daprs_words() {
    let policies = |text: &str| problem(&format!("metadata: {{name: r}}\nspec: {{policies: {{{text}}}}}\n"));
    assert_eq!(policies("timeouts: {t: soon}"), "invalid duration \"t\", soon: time: invalid duration \"soon\"");
    assert!(policies("retries: {x: {duration: soon}}").contains("invalid duration \"soon\""));
    assert!(policies("retries: {x: {policy: wild}}").contains("unexpected back off policy type: wild"));
    let codes = |text: &str| policies(&format!("retries: {{x: {{matching: {{httpStatusCodes: '{text}'}}}}}}"));
    assert_eq!(codes("1-2-3"), "invalid pattern 1-2-3, more than one '-' exists");
    assert_eq!(codes("99"), "invalid pattern 99, start code 99 is not valid");
    assert_eq!(codes("500-400"), "invalid pattern 500-400, start value should not bigger than end value");
    assert!(codes("abc").starts_with("failed to parse start code abc from pattern abc to int"));
    let actor = |text: &str| problem(&format!("metadata: {{name: r}}\nspec: {{targets: {{actors: {{t: {{circuitBreaker: c{text}}}}}}}}}\n"));
    assert_eq!(actor(""), "actor circuit breakers must include scope");
    assert_eq!(actor(", circuitBreakerScope: all"), "unknown circuit breaker scope \"all\"");
}
