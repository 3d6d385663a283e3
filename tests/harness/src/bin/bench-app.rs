//! The fastest subscriber that is still honest: `bench-app <port> <pubsub> <topic>`.
//!
//! Answers `GET /dapr/subscribe` with one subscription on `/events`, every event with 200, and `GET /count` with the number
//! of events received (`GET /reset` sets it to zero). As the target of invocations: `POST /echo` gives back what it gets (`GET /echo` a fixed
//! kilobyte), `POST /sink` the number of bytes that it got, `GET /source?bytes` as many bytes, in pieces. Runs until it is killed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

struct State {
    subscription: Bytes,
    events: AtomicU64,
    kilobyte: Bytes,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("missing argument: {what}"));
    let port: u16 = next("port").parse().expect("a port number");
    let (pubsub, topic) = (next("pubsub"), next("topic"));
    let subscription = serde_json::json!([{ "pubsubname": pubsub, "topic": topic, "route": "/events" }]).to_string();
    let state = Arc::new(State { subscription: subscription.into(), events: AtomicU64::new(0), kilobyte: vec![b'x'; 1024].into() });
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("app port");
    loop {
        let (stream, _) = listener.accept().await.expect("connection");
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = http::Response<BoxBody<Bytes, Infallible>>;

/// The size of one piece of a stream.
const PIECE: usize = 64 << 10;

async fn answer(state: Arc<State>, request: http::Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/sink" => return Ok(whole(200, "text/plain", drain(body).await.to_string().into())),
        "/source" => return Ok(source(head.uri.query().and_then(|bytes| bytes.parse().ok()).unwrap_or(0))),
        _ => {}
    }
    let sent = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (status, kind, body) = match head.uri.path() {
        "/echo" if head.method == http::Method::POST => (200, "application/octet-stream", sent),
        "/events" => {
            state.events.fetch_add(1, Ordering::Relaxed);
            (200, "application/json", Bytes::new())
        }
        "/dapr/subscribe" => (200, "application/json", state.subscription.clone()),
        "/reset" => {
            state.events.store(0, Ordering::Relaxed);
            (200, "text/plain", Bytes::new())
        }
        "/count" => (200, "text/plain", state.events.load(Ordering::Relaxed).to_string().into()),
        "/echo" => (200, "text/plain", state.kilobyte.clone()),
        _ => (404, "text/plain", Bytes::new()),
    };
    Ok(whole(status, kind, body))
}

fn whole(status: u16, kind: &str, body: Bytes) -> Answer {
    let response = http::Response::builder().status(status).header("content-type", kind).body(Full::new(body).boxed());
    response.expect("a fixed response")
}

async fn drain(mut body: Incoming) -> usize {
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, Bytes::len);
    }
    count
}

fn source(bytes: usize) -> Answer {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = (0..bytes.div_ceil(PIECE)).map(move |n| Ok(Frame::data(piece.slice(..PIECE.min(bytes - n * PIECE)))));
    http::Response::new(StreamBody::new(futures::stream::iter(pieces)).boxed())
}
