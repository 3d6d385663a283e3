//! An application over HTTP, inside the test process.
//!
//! Every request is recorded with its headers and body. Paths without an answer give 404, as an app that does not know
//! them would. Answers can be set before and while the sidecar talks to it; the server ends with the last owner.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::sidecar::AppEndpoint;
use crate::wait::until;

/// One request as the app saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// What the app replies.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// How long the app takes for it.
    pub delay: Duration,
}

type Handler = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

#[derive(Default)]
struct Inner {
    /// By path; the handler sees the method.
    handlers: Mutex<HashMap<String, Handler>>,
    requests: Mutex<Vec<Recorded>>,
    /// The paths of requests that were given up before they were answered.
    aborted: Mutex<Vec<String>>,
}

/// A running HTTP app.
pub struct App {
    port: u16,
    inner: Arc<Inner>,
    server: AbortHandle,
}

impl App {
    /// Starts an app that knows no path but answers a health probe.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("app port");
        let port = listener.local_addr().expect("app address").port();
        let inner = Arc::new(Inner::default());
        let server = tokio::spawn(serve(listener, inner.clone())).abort_handle();
        let app = Self { port, inner, server };
        app.answer("/healthz", Answer::ok());
        app
    }

    /// Answers `path` the same way every time.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.on(path, move |_| answer.clone());
    }

    /// Answers `path` by a function of the request.
    pub fn on(&self, path: &str, handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        self.inner.handlers.lock().expect("handlers").insert(path.into(), Arc::new(handler));
    }

    /// Answers `path` with each of `answers` in turn, then with the last one for ever.
    pub fn answers(&self, path: &str, answers: Vec<Answer>) {
        let turn = Mutex::new(0_usize);
        self.on(path, move |_| {
            let mut turn = turn.lock().expect("turn");
            let answer = answers.get(*turn).or(answers.last()).cloned().unwrap_or_else(Answer::ok);
            *turn += 1;
            answer
        });
    }

    /// What `GET /dapr/subscribe` lists.
    pub fn subscribe(&self, subscriptions: Value) {
        self.answer("/dapr/subscribe", Answer::json(subscriptions));
    }

    /// Requests on `path` so far, OPTIONS left out.
    pub fn requests(&self, path: &str) -> Vec<Recorded> {
        let requests = self.inner.requests.lock().expect("requests");
        requests.iter().filter(|request| request.path == path && request.method != "OPTIONS").cloned().collect()
    }

    /// Every request so far, in order of arrival.
    pub fn all_requests(&self) -> Vec<Recorded> {
        self.inner.requests.lock().expect("requests").clone()
    }

    /// Waits up to twenty seconds until a request on `path` was given up by its caller.
    pub async fn aborted(&self, path: &str) {
        until(&format!("a request on {path} that is given up"), Duration::from_secs(20), || async {
            self.inner.aborted.lock().expect("aborted").iter().any(|p| p == path).then_some(())
        })
        .await;
    }

    /// Waits up to twenty seconds for `count` requests on `path`.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Recorded> {
        until(&format!("{count} requests on {path}"), Duration::from_secs(20), || async {
            let found = self.requests(path);
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

impl AppEndpoint for App {
    fn port(&self) -> u16 {
        self.port
    }

    fn protocol(&self) -> &'static str {
        "http"
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO }
    }

    /// 200 without a body.
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// 200 with a JSON body.
    pub fn json(body: Value) -> Self {
        Self { body: body.to_string().into(), ..Self::ok() }.header("content-type", "application/json")
    }

    /// The pub/sub answer `{"status": …}`.
    pub fn verdict(status: &str) -> Self {
        Self::json(json!({ "status": status }))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Recorded {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|failure| panic!("{failure} in {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // Connections belong to this set, so they end together with the server task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = inner.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| reply(inner.clone(), request));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn reply(inner: Arc<Inner>, request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    let recorded = Recorded {
        method: head.method.to_string(),
        path: head.uri.path().into(),
        query: head.uri.query().unwrap_or_default().into(),
        headers: head.headers,
        body,
    };
    let handler = inner.handlers.lock().expect("handlers").get(&recorded.path).cloned();
    let answer = handler.map_or_else(|| Answer::status(404), |handler| handler(&recorded));
    let mut waits = Waits { inner: inner.clone(), path: Some(recorded.path.clone()) };
    inner.requests.lock().expect("requests").push(recorded);
    tokio::time::sleep(answer.delay).await;
    waits.path = None;
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(answer.body)).expect("answer of the test app"))
}

/// A request that is being answered.
struct Waits {
    inner: Arc<Inner>,
    path: Option<String>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.inner.aborted.lock().expect("aborted").push(path);
        }
    }
}
