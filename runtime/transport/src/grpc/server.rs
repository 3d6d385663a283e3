//! Listeners and connections: HTTP/2 on any number of TCP addresses and unix sockets, with TLS between sidecars where they have identities.
//!
//! Once told to stop, the addresses are free at once, connections get a GOAWAY, and calls in flight have the graceful period to end. A
//! connection without calls gets its GOAWAY after three minutes, as from Dapr.
//! A connection costs one task; nothing here fails, except that a failed accept is tried again after a pause.

use super::activity::Activity;
use super::entry::{Entry, Known};
use crate::listen::{Listeners, Unix};
use crate::tls::{self, Security};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proa_core::{Runtime, RuntimeOptions};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without calls is kept.
const IDLE: Duration = Duration::from_secs(180);
/// Calls at the same time on one connection; more of them wait in the client.
const STREAMS: u32 = 4096;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(20);
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

/// Answers on the listeners until `stop`, then until the calls in flight have ended or the graceful period is over. With `security` only
/// other sidecars of the same trust are answered.
pub async fn serve(runtime: Arc<Runtime>, role: Role, listeners: Listeners, security: Option<Arc<Security>>, stop: CancellationToken) {
    let entry = Entry::new(&runtime, role, &stop);
    let http = http(runtime.options());
    let grace = runtime.options().graceful_shutdown;
    let server = Server { http, entry, security, stop };
    let sockets = listeners.tcp.into_iter().map(Socket::Tcp).chain(listeners.unix.map(Socket::Unix));
    futures::future::join_all(sockets.map(|socket| listen(socket, server.clone(), grace))).await;
}

/// What the connections of a server share.
#[derive(Clone)]
struct Server {
    http: Builder<TokioExecutor>,
    entry: Entry,
    security: Option<Arc<Security>>,
    stop: CancellationToken,
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

async fn listen(socket: Socket, server: Server, grace: Duration) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(Accepted::Tcp(stream)) => {
                // Without it the last bytes of an answer may wait for the peer's acknowledgement.
                let _ = stream.set_nodelay(true);
                connections.spawn(welcome(stream, server.clone()));
            }
            Ok(Accepted::Unix(stream)) => {
                connections.spawn(welcome(stream, server.clone()));
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

/// One connection, from its handshake to its end.
async fn welcome<S>(stream: S, server: Server)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(security) = &server.security else { return converse(stream, &server, Known::Nobody).await };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(HANDSHAKE, handshake(stream, security)) => outcome,
        () = server.stop.cancelled() => return,
    };
    match outcome {
        Ok(Ok((stream, known))) => converse(stream, &server, known).await,
        Ok(Err(error)) => tracing::debug!(target: "dapr.runtime.grpc.internal", "a TLS handshake failed: {error}"),
        Err(_) => tracing::debug!(target: "dapr.runtime.grpc.internal", "a TLS handshake took longer than {HANDSHAKE:?}"),
    }
}

async fn handshake<S>(stream: S, security: &Security) -> io::Result<(TlsStream<S>, Known)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = TlsAcceptor::from(security.server().map_err(io::Error::other)?);
    let stream = acceptor.accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let known = tls::caller(certificate).map_err(io::Error::other)?;
    Ok((stream, Known::of(known)))
}

async fn converse<S>(stream: S, server: &Server, known: Known)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let entry = server.entry.for_peer(known, activity.clone());
    let mut connection = std::pin::pin!(server.http.serve_connection(TokioIo::new(stream), entry));
    let over = async {
        tokio::select! {
            () = server.stop.cancelled() => {}
            () = activity.idle(IDLE) => {}
        }
    };
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = over => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(target: "dapr.runtime.grpc.api", "connection ended: {error}");
    }
}
