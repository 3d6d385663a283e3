//! Bodies on their way through a chain of three stages that all read and write them.

use super::bench::{Bench, resident};
use super::stage::{LIMIT, echo, piece, pipeline, read, text, wish, written};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use proa_host::middleware::{Body, body};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SIZE: u64 = 256 << 20;
const PIECE: usize = 256 << 10;
/// KiB that a body may cost, however long it is.
const EXTRA: u64 = 16 << 10;

/// A body of `size` bytes that is made while it is read.
fn flowing(size: u64) -> Body {
    let (mut sender, body) = written();
    tokio::spawn(async move {
        let piece = Bytes::from(vec![b'a'; PIECE]);
        for _ in 0..size / PIECE as u64 {
            if sender.send_data(piece.clone()).await.is_err() {
                return;
            }
        }
    });
    body
}

/// Counts the bytes of a body, and what the process has at most meanwhile.
async fn drain(mut body: Body, most: &AtomicU64) -> u64 {
    let (mut size, mut frames) = (0, 0u32);
    while let Some(data) = piece(&mut body).await {
        let data = data.expect("a piece");
        assert!(data.iter().all(|byte| *byte == b'A'), "a stage did not see this piece");
        size += data.len() as u64;
        frames += 1;
        if frames % 64 == 0 {
            most.fetch_max(resident(), Ordering::Relaxed);
        }
    }
    size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_gibibyte_streams_both_ways_in_bounded_memory() {
    let bench = Bench::new().await;
    let both = [("direction", "both")];
    let (a, b, c) = (
        bench.start("middleware.http.uppercase", &both).await,
        bench.start("middleware.http.uppercase", &both).await,
        bench.start("middleware.http.uppercase", &both).await,
    );
    let most = Arc::new(AtomicU64::new(0));
    let seen = most.clone();
    let chain = pipeline(&[&a, &b, &c], move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let wanted: u64 = request.uri().path().trim_start_matches('/').parse()?;
            let size = drain(request.into_body(), &seen).await;
            let mut response = Response::new(flowing(wanted));
            response.headers_mut().insert("x-received", size.into());
            Ok(response)
        }
    });
    use proa_host::Service;
    let pass = async |up: u64, down: u64| {
        let request = Request::builder().uri(format!("/{down}")).body(flowing(up)).expect("request");
        let response = chain.call(request).await.expect("an answer");
        assert_eq!(response.headers()["x-received"], up.to_string().as_str());
        assert_eq!(drain(response.into_body(), &most).await, down);
    };
    let idle = resident();
    // What the stages need for themselves is there after a little of the same.
    pass(8 << 20, 8 << 20).await;
    for (name, up, down) in [("up", SIZE, 0), ("down", 0, SIZE)] {
        let before = resident();
        most.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        pass(up, down).await;
        let (took, extra) = (begun.elapsed(), most.load(Ordering::Relaxed).saturating_sub(before));
        println!(
            "host 256 MiB {name} through three stages: {took:.2?}, {extra} KiB more than before, {} KiB more than idle",
            resident().saturating_sub(idle)
        );
        assert!(extra < EXTRA, "{name}: {extra} KiB more than before");
    }
}

/// The second event is not sent before the first one has arrived: a stage that held it back would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_arrives_at_once() {
    use proa_host::Service;
    let bench = Bench::new().await;
    let upper = bench.start("middleware.http.uppercase", &[("direction", "response")]).await;
    let checker = bench.start("middleware.http.routerchecker", &[("rule", "^/")]).await;
    let hostile = bench.start("middleware.http.hostile", &[]).await;
    let (mut sender, body) = written();
    let body = std::sync::Mutex::new(Some(body));
    let chain = pipeline(&[&checker, &upper, &hostile], move |_| {
        let body = body.lock().expect("body").take().expect("one request");
        async move { Ok(Response::builder().header("content-type", "text/event-stream").body(body)?) }
    });
    let mut events = chain.call(Request::new(body::empty())).await.expect("an answer").into_body();
    for number in 0..5 {
        let begun = Instant::now();
        sender.send_data(Bytes::from(format!("data: {number}\n\n"))).await.expect("sent");
        assert_eq!(piece(&mut events).await.expect("an event").expect("data"), format!("DATA: {number}\n\n").as_bytes());
        println!("host event {number} through three stages: {:.2?}", begun.elapsed());
    }
    drop(sender);
    assert!(piece(&mut events).await.is_none(), "the stream ends with its source");
}

/// Set when it is dropped.
struct Flag(Arc<AtomicBool>);
impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn becomes(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The client gives up while the service works: the service's work ends, through all the stages before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_the_service() {
    use proa_host::Service;
    let bench = Bench::new().await;
    let (a, b) = (bench.start("middleware.http.hostile", &[]).await, bench.start("middleware.http.routerchecker", &[("rule", "^/")]).await);
    let (begun, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, ends) = (begun.clone(), ended.clone());
    let chain = pipeline(&[&a, &b], move |request: Request<Body>| {
        let (begins, ends) = (begins.clone(), ends.clone());
        async move {
            if request.headers().contains_key("x-wait") {
                let _flag = Flag(ends);
                begins.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            echo(request).await
        }
    });
    let call = tokio::spawn(chain.call(Request::builder().uri("/").header("x-wait", "1").body(body::empty()).expect("request")));
    becomes("the service is asked", || begun.load(Ordering::SeqCst)).await;
    call.abort();
    becomes("the service is dropped", || ended.load(Ordering::SeqCst)).await;
    becomes("the stages are idle", || a.idle() && b.idle()).await;
    let answer = chain.call(wish("", text("still there"))).await.expect("an answer");
    assert_eq!(read(answer.into_body()).await.expect("a body"), "still there");
}

/// The client stops reading a body that a stage writes without end: the stage stops computing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_the_guests_work() {
    use proa_host::Service;
    let bench = Bench::new().await;
    let stats = Arc::default();
    let stage = bench.start_counted("middleware.http.hostile", &[], &stats).await;
    let chain = pipeline(&[&stage], echo);
    let mut body = chain.call(wish("endless", body::empty())).await.expect("an answer").into_body();
    for _ in 0..100 {
        piece(&mut body).await.expect("more").expect("data");
    }
    // Nobody reads for a moment: the writer waits.
    let spent = || stats.cpu.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = spent();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(spent() - before < 30_000_000, "the guest computed for {} ns while nobody read", spent() - before);
    drop(body);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = spent();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(spent() - before < 30_000_000, "the guest computes for nobody");
    assert_eq!(stats.traps.load(Ordering::Relaxed), 0);
    let answer = chain.call(wish("", text("still there"))).await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "still there");
}
