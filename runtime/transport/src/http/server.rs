//! Accepts connections and serves each in one task until told to stop; then no new ones, and what is in flight gets a deadline.

use super::upgrade;
use crate::body::{Inbound, Payload};
use crate::listen::Listeners;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed accept: most often there are no file descriptors left.
const BREATH: Duration = Duration::from_millis(50);
/// What a head may have beyond the configured size, as in Go's server.
const SLACK: usize = 4096;
/// The read buffer of a connection; smaller ones make large bodies slow.
const BUFFER: usize = 64 << 10;
const STREAMS: u32 = 250;

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// `peer` is none on a Unix socket.
    fn handle(&self, request: Request<Inbound>, peer: Option<SocketAddr>) -> impl Future<Output = Response<Payload>> + Send;
}

/// How connections are read.
#[derive(Clone)]
pub struct Settings {
    builder: auto::Builder<TokioExecutor>,
    head: usize,
    pub(super) h2c: bool,
    grace: Duration,
}

impl Settings {
    /// `head` is the largest size of a request's head in bytes, `grace` how long requests in flight may take once the server stops.
    pub fn new(head: usize, grace: Duration) -> Self {
        let head = head.max(1) + SLACK;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The timeout would close idle connections too.
        builder.http1().header_read_timeout(None).max_buf_size(BUFFER.max(head + SLACK));
        builder.http2().max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX)).max_concurrent_streams(STREAMS);
        let h2c = !std::env::var("DAPR_HTTP_DISABLE_H2C").is_ok_and(|v| matches!(v.to_lowercase().as_str(), "y" | "yes" | "true" | "t" | "on" | "1"));
        Self { builder: if h2c { builder } else { builder.http1_only() }, head, h2c, grace }
    }

    pub(super) fn http2(&self) -> &auto::Builder<TokioExecutor> {
        &self.builder
    }

    fn head_fits(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let target = uri.path_and_query().map_or(1, |p| p.as_str().len());
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        target + size <= self.head
    }
}

/// What the tasks of a server share.
pub(super) struct Server<H> {
    pub(super) handler: H,
    pub(super) settings: Settings,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Serves until `stop`; returns when every connection is closed, at the latest after the time that requests in flight may take.
pub async fn run<H: Handler>(listeners: Listeners, settings: Settings, handler: H, stop: CancellationToken) {
    let grace = settings.grace;
    let kill = CancellationToken::new();
    let server = Arc::new(Server { handler, settings, stop: stop.clone(), tasks: TaskTracker::new() });
    let Listeners { tcp, unix } = listeners;
    for listener in tcp {
        server.tasks.spawn(until(kill.clone(), accept_tcp(server.clone(), listener, kill.clone())));
    }
    if let Some(unix) = unix {
        let (server_, kill_) = (server.clone(), kill.clone());
        server.tasks.spawn(async move { accept_unix(&server_, &unix.listener, &kill_).await });
    }
    stop.cancelled().await;
    server.tasks.close();
    if tokio::time::timeout(grace, server.tasks.wait()).await.is_err() {
        kill.cancel();
        server.tasks.wait().await;
    }
}

async fn until(kill: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = task => {}
        () = kill.cancelled() => {}
    }
}

async fn accept_tcp<H: Handler>(server: Arc<Server<H>>, listener: TcpListener, kill: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Without it the answer may wait for an acknowledgement; a socket that is gone shows soon enough.
                let _ = stream.set_nodelay(true);
                let task = connection(server.clone(), TokioIo::new(stream), Some(peer));
                server.tasks.spawn(until(kill.child_token(), task));
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn accept_unix<H: Handler>(server: &Arc<Server<H>>, listener: &UnixListener, kill: &CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let task = connection(server.clone(), TokioIo::new(stream), None);
                server.tasks.spawn(until(kill.child_token(), task));
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn connection<H: Handler, I>(server: Arc<Server<H>>, io: I, peer: Option<SocketAddr>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    // A token of its own: looking at a shared one on each turn would make the connections wait for one another.
    let stop = server.stop.child_token();
    let service = {
        let server = server.clone();
        service_fn(move |request: Request<Incoming>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(serve(&server, request, peer).await) }
        })
    };
    let connection = server.settings.builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        // A connection that breaks is the client's business.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn serve<H: Handler>(server: &Arc<Server<H>>, request: Request<Incoming>, peer: Option<SocketAddr>) -> Response<Payload> {
    if !server.settings.head_fits(request.uri(), request.headers()) {
        let mut response = Response::new(Payload::Empty);
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return response;
    }
    if server.settings.h2c && upgrade::wanted(&request) {
        return upgrade::begin(server, request, peer);
    }
    server.handler.handle(request.map(Inbound::Wire), peer).await
}
