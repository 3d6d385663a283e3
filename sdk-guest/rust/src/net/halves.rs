//! The two directions of a connection, each moving whole buffers that it hands back for reuse.
//! Both may be used at the same time, from different tasks of the instance.

use super::tcp::{Bytes, End, Sink, reason};
use std::io;
use wit_bindgen::StreamResult;

#[cfg(feature = "tls")]
use super::{TcpStream, tls::TlsStream};
#[cfg(feature = "tls")]
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// What arrives.
pub struct Reader(pub(super) ReadFrom);
/// What leaves.
pub struct Writer(pub(super) WriteTo);

pub(super) enum ReadFrom {
    Plain(RawReader),
    #[cfg(feature = "tls")]
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

pub(super) enum WriteTo {
    Plain(RawWriter),
    #[cfg(feature = "tls")]
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

pub(super) struct RawReader {
    bytes: Bytes,
    end: Option<End>,
}

pub(super) struct RawWriter {
    sink: Sink,
    end: Option<End>,
}

impl Reader {
    /// Waits for bytes and appends them to `buffer`, at most as many as it has spare capacity for (which must not be zero).
    /// `Ok(0)`: the peer has ended the connection in good order.
    pub async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.0 {
            ReadFrom::Plain(raw) => raw.read(buffer).await,
            #[cfg(feature = "tls")]
            ReadFrom::Tls(half) => half.read_buf(buffer).await,
        }
    }
}

impl Writer {
    /// Hands all of `data` to the host (or to TLS) and empties it, keeping its capacity. Returns when the system has taken the bytes,
    /// not when the peer has.
    pub async fn write_all(&mut self, data: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            WriteTo::Plain(raw) => raw.write_all(data).await,
            #[cfg(feature = "tls")]
            WriteTo::Tls(half) => {
                half.write_all(data).await?;
                half.flush().await?;
                data.clear();
                Ok(())
            }
        }
    }

    /// Ends the outgoing direction in good order.
    pub async fn finish(self) -> io::Result<()> {
        match self.0 {
            WriteTo::Plain(RawWriter { sink, end }) => {
                drop(sink);
                match end {
                    Some(end) => reason(end).await,
                    None => Ok(()),
                }
            }
            #[cfg(feature = "tls")]
            WriteTo::Tls(mut half) => half.shutdown().await,
        }
    }
}

impl RawReader {
    pub(super) fn new(bytes: Bytes, end: End) -> Self {
        Self { bytes, end: Some(end) }
    }

    async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let (result, filled) = self.bytes.read(std::mem::take(buffer)).await;
            *buffer = filled;
            match result {
                StreamResult::Complete(0) | StreamResult::Cancelled => {}
                StreamResult::Complete(n) => return Ok(n),
                StreamResult::Dropped => {
                    return match self.end.take() {
                        Some(end) => reason(end).await.map(|()| 0),
                        None => Ok(0),
                    };
                }
            }
        }
    }
}

impl RawWriter {
    pub(super) fn new(sink: Sink, end: End) -> Self {
        Self { sink, end: Some(end) }
    }

    async fn write_all(&mut self, data: &mut Vec<u8>) -> io::Result<()> {
        let rest = self.sink.write_all(std::mem::take(data)).await;
        if rest.is_empty() {
            *data = rest;
            return Ok(());
        }
        if let Some(end) = self.end.take() {
            reason(end).await?;
        }
        Err(io::Error::new(io::ErrorKind::BrokenPipe, "the connection is closed for writing"))
    }
}
