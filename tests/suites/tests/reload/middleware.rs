//! A stage of the HTTP pipeline is swapped while requests are in it.

use proa_harness::{against_dapr, component, configuration};

use crate::guests::{annotated, sidecar, with_guest};
use crate::load::under_load;
use crate::process::{generation, swapped};

const PIPELINE: &str = "  httpPipeline:\n    handlers:\n      - name: checker\n        type: middleware.http.routerchecker\n      - name: stamp\n        type: middleware.http.hostile\n";

fn stamp(mark: u32) -> String {
    with_guest(&component("stamp", "middleware.http.hostile", &[("mark", &mark.to_string())]), "hostile-middleware")
}

fn checker(number: u32) -> String {
    let yaml = component("checker", "middleware.http.routerchecker", &[("rule", "^/v1\\.0/")]);
    annotated(&yaml, &[("test/revision", &number.to_string())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stages() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar()
        .config(configuration(PIPELINE))
        .resource_file("store.yaml", component("store", "state.in-memory", &[]))
        .resource_file("stamp.yaml", stamp(0))
        .resource_file("checker.yaml", checker(0))
        .start()
        .await;
    let mark = async || sidecar.http().get("/v1.0/state/store/nothing").await.header("x-hostile-mark");
    assert_eq!(mark().await.as_deref(), Some("0"));
    let (mut first, mut second) = (generation(&sidecar, "checker").await, generation(&sidecar, "stamp").await);
    under_load("middleware, YAML edited", &sidecar, "store", async |n| {
        if n % 2 == 0 {
            sidecar.write_resource("checker.yaml", &checker(n));
            first = swapped(&sidecar, "checker", first).await;
        }
        sidecar.write_resource("stamp.yaml", &stamp(n));
        second = swapped(&sidecar, "stamp", second).await;
        assert_eq!(mark().await, Some(n.to_string()), "a request after the swap meets the new generation");
    })
    .await;
    sidecar.http().get("/metrics").await.expect_status(400);
}
