//! The port for probes: health and metadata, without token and without logs.

use super::api::Seen;
use super::reply::Reply;
use super::router::Router;
use super::server::{self, Handler};
use super::trace::Traced;
use crate::body::Inbound;
use crate::listen::Listeners;
use http::Request;
use proa_core::{Runtime, trace};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`.
pub async fn serve_public(runtime: Arc<Runtime>, listeners: Listeners, stop: CancellationToken) {
    let settings = server::Settings::new(runtime.options().read_buffer_size, runtime.options().graceful_shutdown);
    let public = Public { router: Arc::new(Router::public(&runtime)), runtime };
    server::run(listeners, settings, public, stop).await;
}

#[derive(Clone)]
struct Public {
    router: Arc<Router>,
    runtime: Arc<Runtime>,
}

impl Handler for Public {
    async fn handle(&self, request: Request<Inbound>, peer: Option<SocketAddr>) -> Reply {
        let traced = match Traced::begin(&self.runtime.tracer(), self.runtime.metrics(), &request, peer) {
            Ok(traced) => traced,
            Err(refusal) => return refusal,
        };
        let seen = Seen::new(&request);
        let (parts, body) = request.into_parts();
        let span = traced.as_ref().and_then(Traced::span);
        let mut reply = trace::within(span, self.router.route(&parts, body)).await;
        seen.count(self.runtime.metrics(), &reply);
        if let Some(traced) = traced {
            traced.finish(&mut reply);
        }
        reply
    }
}
