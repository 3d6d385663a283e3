//! How a value lies in the store: as it is (v1), or in an envelope with the time of writing and the time to live (v2).
//!
//! The envelope is the protobuf message `{bytes data = 1; Timestamp ts = 2; Duration ttl = 3}`. Dapr writes the duration always, zero for none;
//! so does this, and zero is read as none.

use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schema {
    V1,
    V2,
}

/// A value as it was written, and when it expires (RFC 3339) where the layout tells.
#[derive(Debug, PartialEq)]
pub struct Value {
    pub data: Vec<u8>,
    pub expires: Option<String>,
}

/// The bytes are not an envelope.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("proto: cannot parse invalid wire-format data")]
pub struct Malformed;

impl Schema {
    pub fn encode(self, data: Vec<u8>, ttl: Option<i64>) -> Vec<u8> {
        match self {
            Self::V1 => data,
            Self::V2 => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                envelope(&data, now.as_secs() as i64, now.subsec_nanos(), ttl.unwrap_or(0))
            }
        }
    }

    pub fn decode(self, stored: Vec<u8>) -> Result<Value, Malformed> {
        match self {
            Self::V1 => Ok(Value { data: stored, expires: None }),
            Self::V2 => open(&stored).ok_or(Malformed),
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// `Timestamp` and `Duration` have the same form.
fn time(seconds: i64, nanos: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    for (tag, n) in [(0x08, seconds as u64), (0x10, u64::from(nanos))] {
        if n != 0 {
            out.push(tag);
            put_varint(&mut out, n);
        }
    }
    out
}

fn envelope(data: &[u8], seconds: i64, nanos: u32, ttl: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 32);
    if !data.is_empty() {
        put_bytes(&mut out, 0x0a, data);
    }
    put_bytes(&mut out, 0x12, &time(seconds, nanos));
    put_bytes(&mut out, 0x1a, &time(ttl, 0));
    out
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take<'a>(input: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
    *input = rest;
    Some(taken)
}

/// Number and content of the next field.
fn field<'a>(input: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(input)?;
    let content = match tag & 7 {
        0 => Wire::Number(varint(input)?),
        1 => take(input, 8).map(|_| Wire::Fixed)?,
        2 => {
            let length = varint(input)?;
            Wire::Bytes(take(input, length)?)
        }
        5 => take(input, 4).map(|_| Wire::Fixed)?,
        _ => return None,
    };
    Some((tag >> 3, content))
}

/// Nanoseconds of a `Timestamp` or a `Duration`.
fn nanos(mut input: &[u8]) -> Option<i128> {
    let (mut seconds, mut nanos) = (0, 0);
    while !input.is_empty() {
        match field(&mut input)? {
            (1, Wire::Number(n)) => seconds = i128::from(n as i64),
            (2, Wire::Number(n)) => nanos = i128::from(n as i64),
            _ => {}
        }
    }
    Some(seconds * 1_000_000_000 + nanos)
}

fn open(mut input: &[u8]) -> Option<Value> {
    let (mut data, mut written, mut ttl) = (Vec::new(), 0, 0);
    while !input.is_empty() {
        match field(&mut input)? {
            (1, Wire::Bytes(bytes)) => data = bytes.to_vec(),
            (2, Wire::Bytes(bytes)) => written = nanos(bytes)?,
            (3, Wire::Bytes(bytes)) => ttl = nanos(bytes)?,
            _ => {}
        }
    }
    let expires = if ttl == 0 { None } else { rfc3339(written + ttl) };
    Some(Value { data, expires })
}

fn rfc3339(nanos: i128) -> Option<String> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let made = envelope(b"x", 300, 1000, 0);
        // An empty duration stands there all the same.
        assert_eq!(made, [0x0a, 1, b'x', 0x12, 6, 0x08, 0xac, 0x02, 0x10, 0xe8, 0x07, 0x1a, 0]);
        assert_eq!(open(&made), Some(Value { data: b"x".to_vec(), expires: None }));
        let made = envelope(b"", 60, 999_999_999, 3600);
        assert_eq!(open(&made), Some(Value { data: Vec::new(), expires: Some("1970-01-01T01:01:00Z".into()) }));
        assert_eq!(open(b"plain text"), None);
    }
}
