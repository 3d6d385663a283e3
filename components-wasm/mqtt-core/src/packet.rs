//! Control packets.

/// A message on its way, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub duplicate: bool,
    /// Zero with QoS 0.
    pub id: u16,
}

#[derive(Debug, PartialEq)]
pub enum Packet {
    Accepted { present: bool, code: u8 },
    Publish(Publish),
    Ack(u16),
    Received(u16),
    Release(u16),
    Complete(u16),
    Subscribed(u16, Vec<u8>),
    Unsubscribed(u16),
    Pong,
}

pub struct Connect<'a> {
    pub client_id: &'a str,
    pub clean: bool,
    pub keep_alive: u16,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
}

fn put(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    let mut rest = body.len();
    loop {
        let byte = (rest % 128) as u8;
        rest /= 128;
        out.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value.as_bytes().get(..value.len().min(65_535)).unwrap_or_default());
}

pub fn connect(out: &mut Vec<u8>, c: &Connect<'_>) {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    let flags = u8::from(c.user.is_some()) << 7 | u8::from(c.password.is_some()) << 6 | u8::from(c.clean) << 1;
    body.extend_from_slice(&[4, flags]);
    body.extend_from_slice(&c.keep_alive.to_be_bytes());
    text(&mut body, c.client_id);
    c.user.iter().chain(&c.password).for_each(|t| text(&mut body, t));
    put(out, 0x10, &body);
}

pub fn publish(out: &mut Vec<u8>, p: &Publish) {
    let mut body = Vec::with_capacity(p.payload.len() + p.topic.len() + 4);
    text(&mut body, &p.topic);
    if p.qos > 0 {
        body.extend_from_slice(&p.id.to_be_bytes());
    }
    body.extend_from_slice(&p.payload);
    put(out, 0x30 | u8::from(p.duplicate) << 3 | p.qos << 1 | u8::from(p.retain), &body);
}

pub fn subscribe(out: &mut Vec<u8>, id: u16, filter: &str, qos: u8) {
    let mut body = id.to_be_bytes().to_vec();
    text(&mut body, filter);
    body.push(qos);
    put(out, 0x82, &body);
}

pub fn unsubscribe(out: &mut Vec<u8>, id: u16, filter: &str) {
    let mut body = id.to_be_bytes().to_vec();
    text(&mut body, filter);
    put(out, 0xA2, &body);
}

/// An answer that is only a number: PUBACK, PUBREC, PUBREL, PUBCOMP.
pub fn answer(out: &mut Vec<u8>, first: u8, id: u16) {
    put(out, first, &id.to_be_bytes());
}

pub const ACK: u8 = 0x40;
pub const RECEIVED: u8 = 0x50;
pub const RELEASE: u8 = 0x62;
pub const COMPLETE: u8 = 0x70;
pub const PING: &[u8] = &[0xC0, 0];
pub const DISCONNECT: &[u8] = &[0xE0, 0];

/// The first packet and its length; none while it is not whole.
pub fn next(bytes: &[u8]) -> Result<Option<(Packet, usize)>, String> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let (mut length, mut shift, mut used) = (0usize, 0, 0);
    loop {
        let Some(byte) = rest.get(used) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << shift;
        used += 1;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        if used == 4 {
            return Err("malformed length".into());
        }
    }
    let Some(body) = rest.get(used..used + length) else { return Ok(None) };
    let packet = packet(*first, body).ok_or_else(|| format!("malformed packet of type {}", first >> 4))?;
    Ok(Some((packet, 1 + used + length)))
}

fn id(body: &[u8]) -> Option<u16> {
    body.get(..2)?.try_into().ok().map(u16::from_be_bytes)
}

fn packet(first: u8, body: &[u8]) -> Option<Packet> {
    Some(match first >> 4 {
        2 => Packet::Accepted { present: body.first()? & 1 != 0, code: *body.get(1)? },
        3 => {
            let length = usize::from(id(body)?);
            let topic = String::from_utf8(body.get(2..2 + length)?.to_vec()).ok()?;
            let (qos, mut at) = (first >> 1 & 3, 2 + length);
            let number = if qos > 0 { id(body.get(at..)?)? } else { 0 };
            at += if qos > 0 { 2 } else { 0 };
            let payload = body.get(at..)?.to_vec();
            Packet::Publish(Publish { topic, payload, qos, retain: first & 1 != 0, duplicate: first & 8 != 0, id: number })
        }
        4 => Packet::Ack(id(body)?),
        5 => Packet::Received(id(body)?),
        6 => Packet::Release(id(body)?),
        7 => Packet::Complete(id(body)?),
        9 => Packet::Subscribed(id(body)?, body.get(2..)?.to_vec()),
        11 => Packet::Unsubscribed(id(body)?),
        13 => Packet::Pong,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        for (qos, size) in [(0, 0), (1, 10), (2, 127), (1, 128), (1, 20_000)] {
            let id = if qos > 0 { 7 } else { 0 };
            let message = Publish { topic: "a/ü".into(), payload: vec![1; size], qos, retain: qos == 1, duplicate: qos == 2, id };
            let mut out = Vec::new();
            publish(&mut out, &message);
            assert_eq!(next(&out), Ok(Some((Packet::Publish(message), out.len()))));
            assert_eq!(next(out.get(..out.len() - 1).unwrap_or_default()), Ok(None));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(next(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]).is_err());
        assert!(next(&[0x40, 1, 0]).is_err());
        assert!(next(&[0xF0, 0]).is_err());
        assert!(next(&[0x30, 2, 0, 9]).is_err());
    }
}
