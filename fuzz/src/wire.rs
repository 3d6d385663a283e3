//! Inputs as text: lines of a head, an empty line, a body. And HTTP/1.1 exchanges by hand.

use crate::DEADLINE;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Names that decide where a message ends; who frames messages decides it.
const FRAMING: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"];

/// The parts of an input.
pub struct Input<'a> {
    pub first: &'a [u8],
    pub lines: Vec<&'a [u8]>,
    pub body: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn parse(data: &'a [u8]) -> Self {
        let (head, body) = split(data, b"\n\n").unwrap_or((data, &[]));
        let mut lines = head.split(|byte| *byte == b'\n');
        Self { first: lines.next().unwrap_or_default(), lines: lines.collect(), body }
    }

    /// Pairs of name and value.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.lines.iter().filter_map(|line| split(line, b":")).map(|(name, value)| (name, value.strip_prefix(b" ").unwrap_or(value)))
    }
}

/// What stands in front of the first `mark`, and behind it.
pub fn split<'a>(data: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = data.windows(mark.len()).position(|window| window == mark)?;
    Some((&data[..at], &data[at + mark.len()..]))
}

/// A request with this method and target whose end is well defined; `close` asks for the connection's end.
pub fn framed(input: &Input<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.body.len() + 256);
    out.extend_from_slice(input.first);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for line in &input.lines {
        let name = split(line, b":").map_or(*line, |(name, _)| name).to_ascii_lowercase();
        if !FRAMING.iter().any(|own| name.starts_with(own)) && !line.is_empty() && !line.contains(&b'\r') {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(format!("host: fuzz\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", input.body.len()).as_bytes());
    out.extend_from_slice(input.body);
    out
}

/// Sends the bytes and reads to the end of the connection. With `half` the writing side is closed a moment later, as by a client that
/// has no more to say.
pub fn exchange(socket: &Path, bytes: &[u8], half: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the sidecar listens");
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_read_timeout(Some(if half { Duration::from_millis(3) } else { DEADLINE })).unwrap();
    // A server that has refused the beginning does not read the rest.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if half {
        match stream.read_to_end(&mut answer) {
            Ok(_) => return answer,
            Err(_) => {
                let _ = stream.shutdown(Shutdown::Write);
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
            }
        }
    }
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("no end after {DEADLINE:?}; so far: {:?}", String::from_utf8_lossy(&answer))
        }
        // The server may close before it has read everything.
        Err(_) => answer,
    }
}
