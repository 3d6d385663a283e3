//! Listeners and connections: HTTP/2 without TLS on any number of TCP addresses and unix sockets.
//!
//! Once told to stop, the addresses are free at once, connections get a GOAWAY, and calls in flight have the graceful period to end.
//! A connection costs one task; nothing here fails, except that a failed accept is tried again after a pause.

use super::entry::Entry;
use crate::listen::{Listeners, Unix};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proa_core::{Runtime, RuntimeOptions};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls at the same time on one connection; more of them wait in the client.
const STREAMS: u32 = 4096;
/// The pause after a failed accept, which is out of descriptors more often than not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Which service a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The API of the application.
    Api,
    /// The hop between sidecars.
    Internal,
}

enum Socket {
    Tcp(TcpListener),
    Unix(Unix),
}

enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Accepted::Tcp(stream)),
            Self::Unix(unix) => unix.listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// Answers on the listeners until `stop`, then until the calls in flight have ended or the graceful period is over.
pub async fn serve(runtime: Arc<Runtime>, role: Role, listeners: Listeners, stop: CancellationToken) {
    let entry = Entry::new(&runtime, role, &stop);
    let http = http(runtime.options());
    let grace = runtime.options().graceful_shutdown;
    let sockets = listeners.tcp.into_iter().map(Socket::Tcp).chain(listeners.unix.map(Socket::Unix));
    let loops = sockets.map(|socket| listen(socket, http.clone(), entry.clone(), grace, stop.clone()));
    futures::future::join_all(loops).await;
}

fn http(options: &RuntimeOptions) -> Builder<TokioExecutor> {
    // Dapr takes the bytes of the read buffer for kilobytes here, and clients have come to rely on the room.
    let headers = u32::try_from(options.read_buffer_size.saturating_mul(1024)).unwrap_or(u32::MAX);
    let mut http = Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(headers);
    http
}

async fn listen(socket: Socket, http: Builder<TokioExecutor>, entry: Entry, grace: Duration, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(Accepted::Tcp(stream)) => {
                // Without it the last bytes of an answer may wait for the peer's acknowledgement.
                let _ = stream.set_nodelay(true);
                connections.spawn(converse(stream, http.clone(), entry.clone(), stop.clone()));
            }
            Ok(Accepted::Unix(stream)) => {
                connections.spawn(converse(stream, http.clone(), entry.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::debug!(target: "dapr.runtime.grpc.api", "accepting a connection failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is left when the period is over ends with the set.
    let _ = tokio::time::timeout(grace, ended).await;
}

/// One connection.
async fn converse<S>(stream: S, http: Builder<TokioExecutor>, entry: Entry, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), entry));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(target: "dapr.runtime.grpc.api", "connection ended: {error}");
    }
}
