//! Commands as they go over the wire. Encoded once, sent as often as retries need.

use std::ops::Range;

/// One command with its arguments.
#[derive(Clone, Debug)]
pub struct Command {
    body: Vec<u8>,
    parts: u32,
    /// Where the key lies in `body`, for cluster routing.
    key: Option<Range<usize>>,
}

fn push_number(out: &mut Vec<u8>, mut n: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

fn push_header(out: &mut Vec<u8>, kind: u8, n: usize) {
    out.push(kind);
    if n < 10 {
        out.push(b'0' + n as u8);
    } else {
        push_number(out, n);
    }
    out.extend_from_slice(b"\r\n");
}

impl Command {
    /// `name` is one word, for example `HGETALL`.
    pub fn new(name: &str) -> Self {
        Self { body: Vec::with_capacity(96), parts: 0, key: None }.arg(name)
    }

    pub fn arg(mut self, value: impl AsRef<[u8]>) -> Self {
        self.push(value.as_ref());
        self
    }

    pub fn int(self, value: impl Into<i128>) -> Self {
        let text = value.into().to_string();
        self.arg(text)
    }

    /// The argument that decides which node of a cluster is responsible.
    pub fn key(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.push(value);
        let end = self.body.len() - 2;
        self.key = Some(end - value.len()..end);
        self
    }

    pub fn push(&mut self, value: &[u8]) {
        self.parts += 1;
        // One growth for the whole argument.
        self.body.reserve(value.len() + 16);
        push_header(&mut self.body, b'$', value.len());
        self.body.extend_from_slice(value);
        self.body.extend_from_slice(b"\r\n");
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        push_header(out, b'*', self.parts as usize);
        out.extend_from_slice(&self.body);
    }

    pub(crate) fn routing_key(&self) -> Option<&[u8]> {
        self.body.get(self.key.clone()?)
    }

    pub(crate) fn size(&self) -> usize {
        self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes() {
        let mut out = Vec::new();
        let command = Command::new("SET").key("k\u{e9}").arg(b"0123456789").int(-5);
        command.write_to(&mut out);
        assert_eq!(out, b"*4\r\n$3\r\nSET\r\n$3\r\nk\xc3\xa9\r\n$10\r\n0123456789\r\n$2\r\n-5\r\n");
        assert_eq!(command.routing_key(), Some("k\u{e9}".as_bytes()));
        assert_eq!(Command::new("PING").routing_key(), None);
    }
}
