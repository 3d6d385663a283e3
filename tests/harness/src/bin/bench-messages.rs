//! Publisher and subscriber in one process, so that one clock measures the way through the broker:
//! `bench-messages <port> <pubsub> <topic> <batch>`, where a batch of 1 means single messages and subscriptions.
//!
//! An application that subscribes with `GET /dapr/subscribe` and takes events on `/events`. `GET /load?<sidecar's port>,<in flight>,<ms>`
//! publishes for so long, never more than so many messages ahead of what was delivered, and answers with JSON once they are all there:
//! requests (delivered), failed (refused or lost), rate (1/s), p50 and p99 from publication to delivery (ms). Runs until it is killed.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How long messages may take after the last was published.
const REST: Duration = Duration::from_secs(5);
/// Connections that publish.
const PUBLISHERS: usize = 16;
const AT: &[u8] = b"\"at\":";
const ENTRY: &[u8] = b"\"entryId\":\"";

struct State {
    pubsub: String,
    topic: String,
    batch: usize,
    clock: Instant,
    value: String,
    load: Mutex<Option<Arc<Load>>>,
}

/// What a load has come to so far.
struct Load {
    window: Semaphore,
    /// Microseconds from publication to delivery.
    times: Mutex<Vec<u64>>,
    /// Messages of earlier loads do not count.
    begun: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("missing argument: {what}"));
    let port: u16 = next("port").parse().expect("a port number");
    let (pubsub, topic) = (next("pubsub"), next("topic"));
    let batch = next("batch").parse().expect("a number");
    let state = Arc::new(State { pubsub, topic, batch, clock: Instant::now(), value: "v".repeat(1024), load: Mutex::new(None) });
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("app port");
    loop {
        let (stream, _) = listener.accept().await.expect("connection");
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(state: Arc<State>, request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (status, answer) = match head.uri.path() {
        "/events" => (200, state.delivered(&body)),
        "/dapr/subscribe" => (200, state.subscription()),
        "/load" => (200, state.load(head.uri.query().unwrap_or_default()).await),
        _ => (404, String::new()),
    };
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(answer.into())).expect("a fixed response"))
}

/// What follows each `mark`, up to the first byte that does not belong.
fn after<'b>(body: &'b [u8], mark: &'static [u8], belongs: fn(u8) -> bool) -> impl Iterator<Item = &'b str> {
    let starts = body.windows(mark.len()).enumerate().filter(move |(_, window)| *window == mark).map(move |(at, _)| at + mark.len());
    starts.map(move |at| {
        let rest = &body[at..];
        let end = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    })
}

impl State {
    fn now(&self) -> u64 {
        self.clock.elapsed().as_micros() as u64
    }

    fn subscription(&self) -> String {
        let bulk = serde_json::json!({"enabled": self.batch > 1, "maxMessagesCount": self.batch.max(2), "maxAwaitDurationMs": 10});
        serde_json::json!([{"pubsubname": self.pubsub, "topic": self.topic, "route": "/events", "bulkSubscribe": bulk}]).to_string()
    }

    /// Takes one event or several, and says so.
    fn delivered(&self, body: &[u8]) -> String {
        let now = self.now();
        if let Some(load) = &*self.load.lock().expect("load") {
            let mut times = load.times.lock().expect("times");
            for at in after(body, AT, |byte| byte.is_ascii_digit()).filter_map(|at| at.parse::<u64>().ok()).filter(|at| *at >= load.begun) {
                times.push(now.saturating_sub(at));
                load.window.add_permits(1);
            }
        }
        if self.batch == 1 {
            return String::new();
        }
        let status = |id| format!(r#"{{"entryId":"{id}","status":"SUCCESS"}}"#);
        format!(r#"{{"statuses":[{}]}}"#, after(body, ENTRY, |byte| byte != b'"').map(status).collect::<Vec<_>>().join(","))
    }

    async fn load(self: &Arc<Self>, query: &str) -> String {
        let numbers: Vec<u64> = query.split(',').map(|number| number.parse().expect("port, in flight, milliseconds")).collect();
        let [port, window, millis] = numbers[..] else { panic!("port, in flight, milliseconds") };
        let load = Arc::new(Load { window: Semaphore::new(window as usize), times: Mutex::default(), begun: self.now() });
        *self.load.lock().expect("load") = Some(load.clone());
        let begun = Instant::now();
        let end = begun + Duration::from_millis(millis);
        let publishers = PUBLISHERS.min(window as usize / self.batch).max(1);
        let loops = (0..publishers).map(|_| tokio::spawn(publish(self.clone(), load.clone(), port as u16, end)));
        let (mut published, mut failed) = (0, 0);
        for one in futures::future::join_all(loops).await {
            let (good, bad) = one.expect("a publisher");
            (published, failed) = (published + good, failed + bad);
        }
        // The rate is that of what was delivered while somebody published.
        let (seconds, counted) = (begun.elapsed().as_secs_f64(), load.times.lock().expect("times").len());
        let late = Instant::now() + REST;
        while load.times.lock().expect("times").len() < published && Instant::now() < late {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut times = load.times.lock().expect("times").clone();
        times.sort_unstable();
        let lost = published.saturating_sub(times.len());
        let share = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(0.0, |micros| *micros as f64 / 1000.0);
        let rate = counted as f64 / seconds;
        serde_json::json!({"requests": times.len(), "failed": failed + lost, "rate": rate, "p50": share(0.5), "p99": share(0.99)}).to_string()
    }

    fn message(&self) -> String {
        format!(r#"{{"at":{},"value":"{}"}}"#, self.now(), self.value)
    }

    fn request(&self) -> http::Request<Full<Bytes>> {
        let (version, body) = match self.batch {
            1 => ("v1.0/publish", self.message()),
            batch => {
                let entry = |id| format!(r#"{{"entryId":"{id}","contentType":"application/json","event":{}}}"#, self.message());
                ("v1.0-alpha1/publish/bulk", format!("[{}]", (0..batch).map(entry).collect::<Vec<_>>().join(",")))
            }
        };
        let path = format!("/{version}/{}/{}", self.pubsub, self.topic);
        let request = http::Request::post(path).header("host", "bench").header("content-type", "application/json");
        request.body(Full::new(body.into())).expect("a fixed request")
    }
}

async fn connection(port: u16) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the sidecar's port");
    let _ = stream.set_nodelay(true);
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

/// Gives the numbers of messages that were taken and refused.
async fn publish(state: Arc<State>, load: Arc<Load>, port: u16, end: Instant) -> (usize, usize) {
    let (mut sender, mut taken, mut refused) = (connection(port).await, 0, 0);
    loop {
        // Lost messages never give their places back.
        match tokio::time::timeout_at(end.into(), load.window.acquire_many(state.batch as u32)).await {
            Ok(Ok(places)) => places.forget(),
            _ => return (taken, refused),
        }
        sender.ready().await.expect("the connection");
        let response = sender.send_request(state.request()).await.expect("an answer");
        let good = response.status() == 204;
        let _ = response.into_body().collect().await;
        if good {
            taken += state.batch;
        } else {
            refused += state.batch;
            load.window.add_permits(state.batch);
        }
        if Instant::now() >= end {
            return (taken, refused);
        }
    }
}
