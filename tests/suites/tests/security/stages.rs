//! HTTP middleware that misbehaves: before, inside and behind the rest of the pipeline, and in the middle of bodies.

use std::time::{Duration, Instant};

use proa_harness::{Reply, Sidecar, against_dapr, component, configuration, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bystander::{Bystander, neighbour};
use crate::guests::{annotated, guest, sidecar};
use crate::process::{logged, tail};

const PIPELINE: &str = "  httpPipeline:\n    handlers:\n      - name: stage\n        type: middleware.http.hostile\n";
const PATH: &str = "/v1.0/state/neighbour/key";

async fn start() -> Sidecar {
    let stage = component("stage", "middleware.http.hostile", &[("mark", "passed")]);
    let stage = annotated(&stage, &[("proa.dev/module", &guest("hostile-middleware").display().to_string()), ("proa.dev/call-timeout", "2s")]);
    let sidecar = sidecar().config(configuration(PIPELINE)).resource(neighbour()).resource(stage).start().await;
    sidecar.http().post("/v1.0/state/neighbour", &serde_json::json!([{"key": "key", "value": "v"}])).await.expect_status(204);
    sidecar
}

async fn wish(sidecar: &Sidecar, wish: &str) -> Result<Reply, String> {
    sidecar.http().request("GET", PATH).header("x-hostile", wish).try_send().await
}

/// Requests without a wish pass again.
async fn passes(sidecar: &Sidecar) {
    until(&format!("a stage that works, log:\n{}", tail(sidecar, 20)), Duration::from_secs(20), || async {
        let reply = sidecar.http().get(PATH).await;
        (reply.status == 200 && reply.header("x-hostile-mark").as_deref() == Some("passed") && reply.text() == "\"v\"").then_some(())
    })
    .await;
}

/// Each wish is answered with a failure, told in the log by `reason`.
async fn fails(wishes: &[(&str, &str)]) {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    for (name, reason) in wishes {
        let bystander = Bystander::begin(&sidecar).await;
        let reply = wish(&sidecar, name).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(reply.status >= 500, "{name}: {} {}", reply.status, reply.text());
        assert!(reply.header("x-smuggled").is_none());
        passes(&sidecar).await;
        bystander.end(&format!("stage {name}"), &format!("{} {:?}", reply.status, reply.text()), &mut sidecar).await;
        if !reason.is_empty() {
            logged(&sidecar, &["component=stage", reason]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps() {
    fails(&[("trap-before", "trapped"), ("trap-after", "trapped")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_and_silence() {
    fails(&[("spin", "without giving way"), ("never", "deadline")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_heads_that_are_no_http() {
    fails(&[("deny", ""), ("timeout", ""), ("broken", ""), ("other", ""), ("bad-status", ""), ("bad-header", "")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_next_is_refused() {
    if against_dapr() {
        return;
    }
    let sidecar = start().await;
    let reply = wish(&sidecar, "double-next").await.expect("an answer");
    assert!(reply.text().contains("first: Ok(200)") && reply.text().contains("next was called already"), "{}", reply.text());
}

/// A request as bytes, and what comes back: all of it, or the first `most` bytes.
async fn raw(sidecar: &Sidecar, wish: &str, most: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", sidecar.ports().http)).await.expect("connection");
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\nx-hostile: {wish}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let deadline = Instant::now() + Duration::from_secs(3);
    while answer.len() < most {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, stream.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => answer.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    answer
}

/// The end of a chunked body; without it a client knows that something is missing.
fn complete(answer: &[u8]) -> bool {
    answer.ends_with(b"0\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_break_off_are_no_clean_end() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    for name in ["trap-mid-response", "abort-body", "stall-body"] {
        let bystander = Bystander::begin(&sidecar).await;
        let answer = raw(&sidecar, name, usize::MAX).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 200"), "{name}: {text:?}");
        assert!(!complete(&answer), "{name}: looks complete: {text:?}");
        passes(&sidecar).await;
        bystander.end(&format!("stage {name}"), &format!("{} bytes, no end", answer.len()), &mut sidecar).await;
    }
    logged(&sidecar, &["component=stage", "trapped"]).await;
    let whole = raw(&sidecar, "sse", usize::MAX).await;
    assert!(complete(&whole), "what ends well does end: {:?}", String::from_utf8_lossy(&whole));
}

/// A body without end is read for a while and left: its writer stops, and memory stays where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let answer = raw(&sidecar, "endless", 64 << 20).await;
    assert!(answer.len() >= 1 << 20, "only {} bytes came", answer.len());
    let cpu = async || crate::process::metric(&sidecar, "proa_component_cpu_seconds_total", &["component=\"stage\""]).await;
    until("the writer's end", Duration::from_secs(10), || async {
        let before = cpu().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        (cpu().await - before < 0.05).then_some(())
    })
    .await;
    bystander.end("stage endless", &format!("{} MiB read", answer.len() >> 20), &mut sidecar).await;
    passes(&sidecar).await;
}

/// Sixteen requests are in the stage when one traps: each gets an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_in_the_same_stage() {
    if against_dapr() {
        return;
    }
    let mut sidecar = start().await;
    let bystander = Bystander::begin(&sidecar).await;
    let mut calls = Vec::new();
    for _ in 0..16 {
        let http = sidecar.http();
        calls.push(tokio::spawn(async move { http.request("GET", PATH).header("x-hostile", "slow:300").try_send().await }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let blow = wish(&sidecar, "trap-before").await.expect("an answer");
    assert!(blow.status >= 500);
    let mut statuses = Vec::new();
    for call in calls {
        let reply = tokio::time::timeout(Duration::from_secs(20), call).await.expect("an answer for everybody").expect("a caller");
        statuses.push(reply.expect("an answer").status);
    }
    bystander.end("stage trap among others", &format!("{statuses:?}"), &mut sidecar).await;
    passes(&sidecar).await;
}
