//! TCP and TLS connections out of a component, without any async runtime.
//!
//! [`connect`] opens a plain connection, [`tls::Connector`] an encrypted one; [`Stream`] is either. All implement the `AsyncRead` and
//! `AsyncWrite` of both futures-io and tokio, so client crates that take a stream of your own work over them. For code on a hot path
//! [`Stream::into_halves`] gives a [`Reader`] and a [`Writer`] that move whole buffers: one call to the host each, no copy in between.
//!
//! The host opens only what the configuration names; everything else fails with `PermissionDenied`. Dropping a stream closes it.

mod address;
mod duplex;
mod halves;
mod resolve;
mod stream;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;

pub use address::{join_host_port, split_host_port};
pub use halves::{Reader, Writer};
pub use resolve::resolve;
pub use stream::Stream;
pub use tcp::TcpStream;

use std::io;
use std::time::Duration;

/// Opens a TCP connection. Resolves `host` and tries each of its addresses in the order given until one answers; `timeout` bounds the
/// whole. The error is that of the last address tried, and its text begins with `dial tcp <host>:<port>`.
pub async fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let attempt = async {
        let mut last = None;
        for address in resolve(host, port).await? {
            match tcp::connect_address(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
    };
    let outcome = match crate::time::timeout(timeout, attempt).await {
        Some(outcome) => outcome,
        None => Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")),
    };
    outcome.map_err(|e| io::Error::new(e.kind(), format!("dial tcp {}: {e}", join_host_port(host, port))))
}
