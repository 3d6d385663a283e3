//! Frames: type, channel, length, payload, end.

use crate::method::Method;
use crate::properties::Properties;
use crate::wire::Input;

const END: u8 = 0xCE;
/// No server negotiates more with us.
pub const MOST: u32 = 131_072;

#[derive(Debug, PartialEq)]
pub enum Frame {
    Method(u16, Method),
    Header(u16, u64, Box<Properties>),
    Body(u16, Vec<u8>),
    Heartbeat,
}

/// The first frame and its length; none while it is not whole.
pub fn next(bytes: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    if bytes.starts_with(b"AMQP") {
        return Err("the server speaks another version of AMQP".into());
    }
    let mut input = Input(bytes);
    let (Some(kind), Some(channel), Some(length)) = (input.u8(), input.u16(), input.u32()) else { return Ok(None) };
    if length > MOST {
        return Err(format!("a frame of {length} bytes"));
    }
    let (Some(payload), Some(end)) = (input.take(length as usize), input.u8()) else { return Ok(None) };
    if end != END {
        return Err("a frame without its end".into());
    }
    let mut body = Input(payload);
    let malformed = || format!("malformed frame of type {kind}");
    let frame = match kind {
        1 => Frame::Method(channel, Method::get(&mut body).ok_or_else(malformed)?),
        2 => {
            let mut header = || {
                body.take(4)?;
                Some((body.u64()?, Properties::get(&mut body)?))
            };
            let (size, properties) = header().ok_or_else(malformed)?;
            Frame::Header(channel, size, Box::new(properties))
        }
        3 => Frame::Body(channel, payload.to_vec()),
        8 => Frame::Heartbeat,
        _ => return Err(malformed()),
    };
    Ok(Some((frame, bytes.len() - input.0.len())))
}

fn put(out: &mut Vec<u8>, kind: u8, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    payload(out);
    let length = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    out.push(END);
}

pub fn put_method(out: &mut Vec<u8>, channel: u16, method: &Method) {
    put(out, 1, channel, |o| method.put(o));
}

pub fn put_heartbeat(out: &mut Vec<u8>) {
    put(out, 8, 0, |_| {});
}

/// Header and body of a message, behind its method; `most` is the negotiated size of a frame.
pub fn put_content(out: &mut Vec<u8>, channel: u16, properties: &Properties, body: &[u8], most: u32) {
    put(out, 2, channel, |o| {
        o.extend_from_slice(&[0, 60, 0, 0]);
        o.extend_from_slice(&(body.len() as u64).to_be_bytes());
        properties.put(o);
    });
    for part in body.chunks(most.saturating_sub(8).max(1) as usize) {
        put(out, 3, channel, |o| o.extend_from_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_cut_and_read() {
        let mut out = Vec::new();
        put_content(&mut out, 3, &Properties::default(), b"hello world", 16);
        let (mut at, mut body, mut size) = (0, Vec::new(), 0);
        while let Ok(Some((frame, length))) = next(out.get(at..).unwrap_or_default()) {
            at += length;
            match frame {
                Frame::Header(3, s, _) => size = s,
                Frame::Body(3, part) => body.extend(part),
                other => unreachable!("{other:?}"),
            }
        }
        assert_eq!((at, size, body.as_slice()), (out.len(), 11, &b"hello world"[..]));
        for cut in 0..8 {
            assert_eq!(next(out.get(..cut).unwrap_or_default()), Ok(None));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(next(b"AMQP\0\0\x09\x01").is_err());
        assert!(next(&[1, 0, 0, 0, 0, 0, 0, 0xCE]).is_err());
        assert!(next(&[8, 0, 0, 0, 0, 0, 0, 1]).is_err());
        assert!(next(&[8, 0, 0, 255, 0, 0, 0]).is_err());
    }
}
