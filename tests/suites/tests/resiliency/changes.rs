//! A changed resource is in force for the next call, without a pause; a bad one is told and leaves the earlier one in force.

use std::time::Duration;

use proa_harness::{Answer, App, AppEndpoint, Sidecar, Wire, against_dapr, component, until};
use serde_json::json;

use crate::resiliency;

fn retries(count: u32) -> String {
    let spec = format!(
        "policies:\n  retries:\n    r: {{ duration: 5ms, maxRetries: {count} }}\n  circuitBreakers:\n    b: {{ timeout: 60s, trip: consecutiveFailures >= 2 }}\ntargets:\n  components:\n    web: {{ outbound: {{ retry: r }} }}\n    fragile: {{ outbound: {{ circuitBreaker: b }} }}\n"
    );
    resiliency("policies", &spec)
}

struct Bench {
    web: App,
    sidecar: Sidecar,
}

impl Bench {
    async fn new() -> Self {
        let web = App::start().await;
        web.answer("/down", Answer::status(500));
        let url = format!("http://127.0.0.1:{}/down", web.port());
        let sidecar = Sidecar::builder()
            .resource(component("web", "bindings.http", &[("url", &url)]))
            .resource(component("fragile", "bindings.http", &[("url", &url)]))
            .resource_file("policies.yaml", retries(1))
            .start()
            .await;
        Self { web, sidecar }
    }

    /// Requests that one call makes, and the call's failure.
    async fn call(&self, binding: &str) -> (usize, String) {
        let before = self.web.requests("/down").len();
        let api = self.sidecar.api(Wire::Http).await;
        let error = api.invoke_binding(binding, "post", json!("x"), &[]).await.expect_err("the server fails");
        (self.web.requests("/down").len() - before, format!("{error:?}"))
    }

    async fn attempts_become(&self, count: usize) {
        until(&format!("{count} attempts"), Duration::from_secs(15), || async { (self.call("web").await.0 == count).then_some(()) }).await;
    }
}

#[tokio::test]
async fn policies_change_and_breakers_stay() {
    if against_dapr() {
        return;
    }
    let bench = Bench::new().await;
    assert_eq!(bench.call("web").await.0, 2);
    for attempts in [1, 1, 0] {
        assert_eq!(bench.call("fragile").await.0, attempts);
    }
    bench.sidecar.write_resource("policies.yaml", &retries(3));
    bench.attempts_become(4).await;
    let (attempts, error) = bench.call("fragile").await;
    assert!(attempts == 0 && error.contains("circuit breaker is open"), "the breaker's policy did not change: {error}");
    bench.sidecar.remove_resource("policies.yaml");
    bench.attempts_become(1).await;
    assert_eq!(bench.call("fragile").await.0, 1);
}

#[tokio::test]
async fn a_bad_resource_is_told_and_the_earlier_one_stays() {
    if against_dapr() {
        return;
    }
    let bench = Bench::new().await;
    for (bad, problem) in
        [(("duration: 5ms", "duration: soon"), "invalid duration"), (("consecutiveFailures >= 2", "consecutiveFailures >="), "trip")]
    {
        bench.sidecar.write_resource("policies.yaml", &retries(3).replacen(bad.0, bad.1, 1));
        bench.sidecar.logs_contain("Could not read resiliency policy policies: ").await;
        let told = |metadata: &serde_json::Value| metadata["extended"]["proa.resiliency.policies.error"].as_str().map(str::to_owned);
        let why = bench.sidecar.wait_for_metadata("the reason", |m| told(m).filter(|why| why.contains(problem))).await;
        assert_eq!(bench.call("web").await.0, 2, "{why}");
    }
    bench.sidecar.write_resource("policies.yaml", &retries(4));
    bench.attempts_become(5).await;
    bench.sidecar.wait_for_metadata("no reason", |m| m["extended"]["proa.resiliency.policies.error"].is_null().then_some(())).await;
}
