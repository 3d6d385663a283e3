//! The port of profiles: an index at `/debug/pprof/` and what the system knows of the process. Go's profiles have no counterpart.

use super::api::nowhere;
use super::reply::{self, Reply};
use super::server::{self, Handler};
use crate::body::Inbound;
use crate::listen::Listeners;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use std::net::SocketAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HEAD: usize = 4096;
/// How long an answer may take once the server stops.
const GRACE: Duration = Duration::from_secs(5);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const INDEX: &str = "<html><head><title>/debug/pprof/</title></head><body>Profiles: <a href=\"cmdline\">cmdline</a> \
                     <a href=\"status\">status</a> <a href=\"tasks\">tasks</a></body></html>\n";

/// Serves until `stop`.
pub async fn serve_profile(listeners: Listeners, stop: CancellationToken) {
    server::run(listeners, server::Settings::new(HEAD, GRACE), Profile, stop).await;
}

#[derive(Clone)]
struct Profile;

impl Handler for Profile {
    async fn handle(&self, request: Request<Inbound>, _peer: Option<SocketAddr>) -> Reply {
        let (content, body) = match request.uri().path() {
            "/debug/pprof/" | "/debug/pprof" => (HTML, INDEX.as_bytes().to_vec()),
            "/debug/pprof/cmdline" => (PLAIN, std::env::args().collect::<Vec<_>>().join("\0").into_bytes()),
            "/debug/pprof/status" => (PLAIN, tokio::fs::read("/proc/self/status").await.unwrap_or_default()),
            "/debug/pprof/tasks" => {
                let metrics = tokio::runtime::Handle::current().metrics();
                (PLAIN, format!("workers {}\nalive tasks {}\n", metrics.num_workers(), metrics.num_alive_tasks()).into_bytes())
            }
            _ => return nowhere(false),
        };
        let mut answer = reply::data(StatusCode::OK, body.into());
        answer.headers_mut().insert(CONTENT_TYPE, content);
        answer
    }
}
