//! The port of the metrics, in Prometheus' text format.

use super::api::nowhere;
use super::reply::{self, Reply};
use super::server::{self, Handler};
use crate::body::Inbound;
use crate::listen::Listeners;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use proa_core::Runtime;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const HEAD: usize = 4096;
const CONTENT: HeaderValue = HeaderValue::from_static(proa_core::metrics::CONTENT_TYPE);

/// Serves `/metrics` until `stop`.
pub async fn serve_metrics(runtime: Arc<Runtime>, listeners: Listeners, stop: CancellationToken) {
    let grace = runtime.options().graceful_shutdown;
    server::run(listeners, server::Settings::new(HEAD, grace), Exposition(runtime), stop).await;
}

#[derive(Clone)]
struct Exposition(Arc<Runtime>);

impl Handler for Exposition {
    async fn handle(&self, request: Request<Inbound>, _peer: Option<SocketAddr>) -> Reply {
        if request.uri().path() != "/metrics" && request.uri().path() != "/" {
            return nowhere(false);
        }
        let mut answer = reply::data(StatusCode::OK, self.0.render_metrics().into());
        answer.headers_mut().insert(CONTENT_TYPE, CONTENT);
        answer
    }
}
