//! The fastest subscriber that is still honest: `bench-app <port> <pubsub> <topic>`.
//!
//! Answers `GET /dapr/subscribe` with one subscription on `/events`, every event with 200, and `GET /count` with the number
//! of events received (`GET /reset` sets it to zero). `GET /echo` answers a fixed kilobyte, as the target of invocations. Runs until it is killed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
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

async fn answer(state: Arc<State>, request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    let (status, kind, body) = match head.uri.path() {
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
    let response = http::Response::builder().status(status).header("content-type", kind).body(Full::new(body));
    Ok(response.expect("a fixed response"))
}
