//! The sockets of a server: TCP addresses with one port, or a Unix socket. Addresses that cannot be bound are passed over as long as
//! one can.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// How long a port that is still taken is tried, and how often: the previous runtime of this process may be letting go of it.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No address could be bound.
    #[error("could not listen on any endpoint")]
    Nowhere,
    #[error("listen unix {path}: {source}")]
    Unix { path: PathBuf, source: io::Error },
}

/// Bound sockets. A Unix socket's file is removed when the listeners are dropped.
#[derive(Debug, Default)]
pub struct Listeners {
    pub tcp: Vec<TcpListener>,
    pub unix: Option<Unix>,
}

/// A Unix socket and its file.
#[derive(Debug)]
pub struct Unix {
    pub listener: UnixListener,
    path: PathBuf,
}

impl Drop for Unix {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listeners {
    /// Binds `port` (0: any) on each address; an empty address is all interfaces. `what` is `HTTP` or `gRPC`, for the log.
    pub async fn tcp(what: &str, addresses: &[String], port: u16) -> Result<Self, ListenError> {
        let everywhere = [String::new()];
        let addresses = if addresses.is_empty() { &everywhere } else { addresses };
        let mut tcp = Vec::new();
        for address in addresses {
            match bind(address, port).await {
                Ok(listener) => {
                    tracing::info!(target: "dapr.runtime.http", "{what} server listening on TCP address: {address}:{port}");
                    tcp.push(listener);
                }
                Err(error) => {
                    tracing::debug!(target: "dapr.runtime.http", "Failed to listen for {what} server on TCP address {address}:{port} with error: {error}");
                }
            }
        }
        if tcp.is_empty() { Err(ListenError::Nowhere) } else { Ok(Self { tcp, unix: None }) }
    }

    pub fn unix(what: &str, path: &Path) -> Result<Self, ListenError> {
        let listener = UnixListener::bind(path).map_err(|source| ListenError::Unix { path: path.to_owned(), source })?;
        tracing::info!(target: "dapr.runtime.http", "{what} server listening on UNIX socket: {}", path.display());
        Ok(Self { tcp: Vec::new(), unix: Some(Unix { listener, path: path.to_owned() }) })
    }

    /// The port of the first TCP listener.
    pub fn port(&self) -> Option<u16> {
        self.tcp.first().and_then(|l| l.local_addr().ok()).map(|a| a.port())
    }
}

async fn bind(address: &str, port: u16) -> io::Result<TcpListener> {
    let mut left = TRIES;
    loop {
        match bind_once(address.trim(), port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && left > 0 => {
                left -= 1;
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn bind_once(address: &str, port: u16) -> io::Result<TcpListener> {
    if !address.is_empty() {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        return TcpListener::bind((address, port)).await;
    }
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        // A machine without IPv6.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
        outcome => outcome,
    }
}
