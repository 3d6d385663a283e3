//! One TCP connection: the host's two byte streams, and what ended them.

use super::duplex::{Receive, Transmit};
use super::halves::{RawReader, RawWriter};
use std::io;
use wasip3::sockets::types::{ErrorCode, IpAddressFamily, IpSocketAddress, TcpSocket};
use wit_bindgen::{FutureReader, StreamReader, StreamWriter};

/// A connected socket. Implements `AsyncRead` and `AsyncWrite` of tokio and of futures-io.
///
/// A write is handed to the host at once when none is under way; what is written meanwhile goes out together in the next one.
pub struct TcpStream {
    pub(super) receive: Receive,
    pub(super) transmit: Transmit,
}

/// Why a stream of the host ended; readable once it has.
pub(super) type End = FutureReader<Result<(), ErrorCode>>;
pub(super) type Bytes = StreamReader<u8>;
pub(super) type Sink = StreamWriter<u8>;

pub(super) async fn connect_address(address: IpSocketAddress) -> io::Result<TcpStream> {
    let family = match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    };
    let socket = TcpSocket::create(family).map_err(to_io)?;
    // A peer that vanished without a word shows within about two minutes on idle connections; a host that refuses the option is fine too.
    let _ = socket.set_keep_alive_enabled(true);
    let _ = socket.set_keep_alive_idle_time(60_000_000_000);
    let _ = socket.set_keep_alive_interval(15_000_000_000);
    socket.connect(address).await.map_err(|e| {
        let error = to_io(e);
        io::Error::new(error.kind(), format!("connect: {error}"))
    })?;
    let (sink, source) = wasip3::wit_stream::new::<u8>();
    let sent = socket.send(source);
    let (bytes, received) = socket.receive();
    // The streams keep the connection; the socket itself is needed no more.
    Ok(TcpStream { receive: Receive::new(bytes, received), transmit: Transmit::new(sink, sent) })
}

impl TcpStream {
    pub(super) fn into_raw(self) -> Option<(RawReader, RawWriter)> {
        Some((self.receive.into_raw()?, self.transmit.into_raw()?))
    }
}

/// The reason behind the end of a stream: `Ok` for an orderly one.
pub(super) async fn reason(end: End) -> io::Result<()> {
    end.await.map_err(to_io)
}

pub(super) fn to_io(code: ErrorCode) -> io::Error {
    use io::ErrorKind as Kind;
    let (kind, text) = match code {
        ErrorCode::AccessDenied => (Kind::PermissionDenied, "the component has no grant for this address"),
        ErrorCode::NotSupported => (Kind::Unsupported, "not supported"),
        ErrorCode::InvalidArgument => (Kind::InvalidInput, "invalid argument"),
        ErrorCode::OutOfMemory => (Kind::OutOfMemory, "out of memory"),
        ErrorCode::Timeout => (Kind::TimedOut, "i/o timeout"),
        ErrorCode::InvalidState => (Kind::NotConnected, "the socket is not connected"),
        ErrorCode::AddressNotBindable => (Kind::AddrNotAvailable, "address not available"),
        ErrorCode::AddressInUse => (Kind::AddrInUse, "address in use"),
        ErrorCode::RemoteUnreachable => (Kind::HostUnreachable, "no route to host"),
        ErrorCode::ConnectionRefused => (Kind::ConnectionRefused, "connection refused"),
        ErrorCode::ConnectionBroken => (Kind::BrokenPipe, "broken pipe"),
        ErrorCode::ConnectionReset => (Kind::ConnectionReset, "connection reset by peer"),
        ErrorCode::ConnectionAborted => (Kind::ConnectionAborted, "connection aborted"),
        ErrorCode::DatagramTooLarge => (Kind::InvalidInput, "datagram too large"),
        ErrorCode::Other(Some(text)) => return io::Error::other(text),
        ErrorCode::Other(None) => (Kind::Other, "network failure"),
    };
    io::Error::new(kind, text)
}
