//! Stages that trap in the middle of a body or never come back.

use super::bench::Bench;
use super::stage::{LIMIT, echo, pipeline, read, text, wish};
use bytes::Bytes;
use http::{Request, Response};
use proa_host::generation::Stats;
use proa_host::middleware::{Body, Pipeline, body};
use proa_host::{BoxError, Service};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Says what became of the body that it was sent.
async fn tell(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let told = match read(request.into_body()).await {
        Ok(bytes) => format!("whole: {}", String::from_utf8_lossy(&bytes)),
        Err(error) => format!("broken: {error}"),
    };
    Ok(Response::new(body::full(Bytes::from(told))))
}

/// Requests without a wish pass, within the time that a restart takes.
async fn passes(chain: &Pipeline) {
    let begun = Instant::now();
    loop {
        if let Ok(answer) = chain.call(wish("", text("fine"))).await
            && read(answer.into_body()).await.is_ok_and(|bytes| bytes.eq_ignore_ascii_case(b"fine"))
        {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "the stage does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn count(stats: &Stats) -> (u64, u64) {
    (stats.traps.load(Ordering::Relaxed), stats.restarts.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_in_the_middle_of_a_response_is_an_error_for_the_client() {
    let bench = Bench::new().await;
    let stats = Arc::default();
    let stage = bench.start_counted("middleware.http.hostile", &[], &stats).await;
    // Another stage behind it hands the error on and does not make an end of it.
    let upper = bench.start("middleware.http.uppercase", &[("direction", "response")]).await;
    for chain in [pipeline(&[&stage], echo), pipeline(&[&upper, &stage], echo)] {
        let answer = chain.call(wish("trap-mid-response", text("a body of some length"))).await.expect("a head");
        assert_eq!(answer.status(), 200);
        let error = read(answer.into_body()).await.expect_err("an error, not an end");
        println!("host trap in a response body: {error}");
        passes(&chain).await;
    }
    let (traps, restarts) = count(&stats);
    assert!(traps >= 2 && restarts >= 2, "{traps} traps, {restarts} restarts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_in_the_middle_of_a_request_is_an_error_for_the_service() {
    let bench = Bench::new().await;
    let stage = bench.start("middleware.http.hostile", &[]).await;
    let (told, mut hears) = tokio::sync::mpsc::channel(1);
    let chain = pipeline(&[&stage], move |request| {
        let told = told.clone();
        async move {
            let response = tell(request).await?;
            let text = read(response.into_body()).await?;
            // The client's answer is lost with the stage; the test hears of it here.
            let _ = told.send(String::from_utf8_lossy(&text).into_owned()).await;
            Ok(Response::new(body::full(text)))
        }
    });
    let outcome = chain.call(wish("trap-mid-request", text("a body of some length"))).await;
    if let Ok(Some(heard)) = tokio::time::timeout(Duration::from_secs(2), hears.recv()).await {
        println!("host trap in a request body: the service heard {heard:?}");
        assert!(heard.starts_with("broken"), "{heard}");
    }
    match outcome {
        Err(error) => println!("host trap in a request body: the client heard {error}"),
        Ok(answer) => {
            let body = read(answer.into_body()).await;
            assert!(body.is_err() || body.is_ok_and(|text| text.starts_with(b"broken")), "a clean answer to half a request");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_spins_is_cut_off_and_replaced() {
    let bench = Bench::new().await;
    let stats = Arc::default();
    let stage = bench.start_counted("middleware.http.hostile", &[], &stats).await;
    let chain = pipeline(&[&stage], echo);
    for name in ["spin", "never"] {
        let begun = Instant::now();
        let outcome = tokio::time::timeout(LIMIT, chain.call(wish(name, body::empty()))).await.expect("an answer");
        let error = outcome.map(drop).expect_err("an error");
        println!("host stage {name}: {error} after {:.2?}", begun.elapsed());
        passes(&chain).await;
    }
    let (traps, restarts) = count(&stats);
    assert!(traps >= 1 && restarts >= 2, "{traps} traps, {restarts} restarts");
}

/// What the service fails with reaches the client as it is, not as a stage retells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_own_error_reaches_the_client() {
    let bench = Bench::new().await;
    let (a, b) = (bench.start("middleware.http.hostile", &[]).await, bench.start("middleware.http.uppercase", &[("direction", "both")]).await);
    let chain = pipeline(&[&a, &b], |_| async { Err("the service is not well".into()) });
    let error = chain.call(wish("", text("x"))).await.map(drop).expect_err("an error");
    assert_eq!(error.to_string(), "the service is not well");
}
