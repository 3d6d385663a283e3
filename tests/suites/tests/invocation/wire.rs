//! What connections of callers see and cause: aborts, `100 Continue`, pings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use proa_harness::grpc::channel;
use proa_harness::streams::{call, collect};
use proa_harness::{Answer, App, GrpcApp, Sidecar};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Endpoint;

use crate::pair::{Pair, Two, unique};

over_every_pair!(an_aborted_request_ends_at_the_app, bodies_wait_for_the_word, an_aborted_call_of_grpc_ends_at_the_app);

const LIMIT: Duration = Duration::from_secs(20);

/// A connection to the caller's HTTP port with the head of a request sent.
async fn head(two: &Two, verb: &str, method: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", two.caller.ports().http)).await.expect("HTTP port");
    let head = format!("{verb} /v1.0/invoke/{}/method/{method} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n", two.callee());
    stream.write_all(head.as_bytes()).await.expect("head");
    stream
}

/// Reads until the text is there.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0_u8; 1024];
    let read = async {
        while !seen.contains(end) {
            let count = stream.read(&mut piece).await.expect("connection");
            assert!(count > 0, "closed after {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    assert!(tokio::time::timeout(LIMIT, read).await.is_ok(), "{end:?} did not come, but {seen:?}");
    seen
}

async fn an_aborted_request_ends_at_the_app(with: Pair) {
    let app = App::start().await;
    app.answer("/slow", Answer::ok().after(Duration::from_secs(60)));
    let two = with.start(&app).await;
    let stream = head(&two, "GET", "slow", "").await;
    app.wait_for("/slow", 1).await;
    drop(stream);
    app.aborted("/slow").await;
    assert_eq!(app.requests("/slow").len(), 1, "nobody waits for another attempt");
}

async fn bodies_wait_for_the_word(with: Pair) {
    let app = App::start().await;
    app.on("/echo", |request| Answer::status(201).body(request.body.clone()));
    let two = with.start(&app).await;
    let mut stream = head(&two, "PUT", "echo", "expect: 100-continue\r\ncontent-length: 5\r\n").await;
    let word = read_until(&mut stream, "\r\n\r\n").await;
    assert!(word.starts_with("HTTP/1.1 100 "), "{word}");
    stream.write_all(b"hello").await.expect("body");
    let answer = read_until(&mut stream, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(app.requests("/echo").remove(0).text(), "hello");
}

async fn an_aborted_call_of_grpc_ends_at_the_app(with: Pair) {
    let app = GrpcApp::start().await;
    let two = with.start(&app).await;
    let to = [("dapr-app-id", two.callee())];
    // Nothing was answered yet.
    let mut pending = Box::pin(call(channel(two.caller.ports().grpc).await, "Hang", &to, stream::iter([b"a".to_vec()])));
    tokio::select! {
        _ = &mut pending => panic!("answered"),
        () = app.streams().hanging(1) => {}
    }
    drop(pending);
    app.streams().cancelled(1).await;
}

/// Passes connections on to a port and counts them.
async fn relay(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let (own, count) = (listener.local_addr().expect("address").port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut to = TcpStream::connect(("127.0.0.1", port)).await.expect("sidecar");
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (own, count)
}

/// Clients of gRPC ping to find dead connections, more often than Dapr's sidecar would stand.
#[tokio::test]
async fn pings_end_no_connection() {
    if proa_harness::against_dapr() {
        return;
    }
    let (app, id) = (GrpcApp::start().await, unique("pinged"));
    let sidecar = Sidecar::builder().app_id(&id).app(&app).start().await;
    let (port, connections) = relay(sidecar.ports().grpc).await;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("address");
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(50)).keep_alive_timeout(LIMIT).keep_alive_while_idle(true);
    let channel = endpoint.connect().await.expect("connection");
    for _ in 0..3 {
        let to = [("dapr-app-id", id.as_str())];
        assert_eq!(collect(call(channel.clone(), "Echo", &to, stream::iter([b"a".to_vec()])).await).await.expect("answer"), [b"a"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection stays");
}
