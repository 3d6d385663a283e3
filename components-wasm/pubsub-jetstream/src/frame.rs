//! The server's side of the NATS protocol: lines, some of which a body follows.

/// One message.
#[derive(Debug, PartialEq)]
pub struct Delivered {
    pub subject: String,
    pub sid: u64,
    pub reply: Option<String>,
    /// The header block, `NATS/1.0` line included; empty without one.
    pub headers: String,
    pub payload: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub enum Frame {
    Message(Delivered),
    Ping,
    Pong,
    /// INFO, with its JSON.
    Info(String),
    /// -ERR, with its text.
    Error(String),
    Ok,
}

/// The longest line that a server may send.
const LINE_LIMIT: usize = 64 * 1024;

/// The first frame in `bytes` and its length; none while it is not whole.
pub fn next(bytes: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") else {
        return if bytes.len() > LINE_LIMIT { Err("a line without an end".into()) } else { Ok(None) };
    };
    let line = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).map_err(|_| "a line that is not UTF-8")?;
    let after = end + 2;
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let simple = |frame| Ok(Some((frame, after)));
    match verb.to_ascii_uppercase().as_str() {
        "PING" => simple(Frame::Ping),
        "PONG" => simple(Frame::Pong),
        "+OK" => simple(Frame::Ok),
        "INFO" => simple(Frame::Info(rest.to_owned())),
        "-ERR" => simple(Frame::Error(rest.trim().trim_matches('\'').to_owned())),
        "MSG" => message(bytes, after, rest, false),
        "HMSG" => message(bytes, after, rest, true),
        other => Err(format!("unknown verb {other:?}")),
    }
}

fn message(bytes: &[u8], after: usize, rest: &str, with_headers: bool) -> Result<Option<(Frame, usize)>, String> {
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let bad = || format!("malformed message line {rest:?}");
    let number = |text: &str| text.parse::<usize>().map_err(|_| bad());
    let sizes = if with_headers { 2 } else { 1 };
    let (subject, sid, reply, sizes) = match words.as_slice() {
        [subject, sid, tail @ ..] if tail.len() == sizes => (subject, sid, None, tail),
        [subject, sid, reply, tail @ ..] if tail.len() == sizes => (subject, sid, Some((*reply).to_owned()), tail),
        _ => return Err(bad()),
    };
    let (header, total) = match sizes {
        [total] => (0, number(total)?),
        [header, total] => (number(header)?, number(total)?),
        _ => return Err(bad()),
    };
    let Some(body) = bytes.get(after..after + total).filter(|_| bytes.len() >= after + total + 2) else { return Ok(None) };
    let headers = String::from_utf8_lossy(body.get(..header).ok_or_else(bad)?).into_owned();
    let payload = body.get(header..).unwrap_or_default().to_vec();
    let sid = sid.parse().map_err(|_| bad())?;
    Ok(Some((Frame::Message(Delivered { subject: (*subject).to_owned(), sid, reply, headers, payload }), after + total + 2)))
}

impl Delivered {
    /// The status in the first line of the headers, for example 100 or 503.
    pub fn status(&self) -> Option<u16> {
        self.headers.lines().next()?.strip_prefix("NATS/1.0")?.split_ascii_whitespace().next()?.parse().ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let pair = |line: &'_ str| line.find(':').map(|at| (at, line.len()));
        self.headers
            .lines()
            .skip(1)
            .filter(|l| pair(l).is_some())
            .filter_map(|l| l.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    }
}

/// What the reply subject of a JetStream message tells.
#[derive(Debug, PartialEq, Clone, Copy)]
pub struct Place {
    /// How often it was handed out, this time included.
    pub delivered: u32,
    /// Its number in the stream.
    pub sequence: u64,
}

/// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or the form with domain and account.
pub fn place(reply: &str) -> Option<Place> {
    let words: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = match words.len() {
        7 => 2,
        n if n >= 9 => 4,
        _ => return None,
    };
    Some(Place { delivered: words.get(at)?.parse().ok()?, sequence: words.get(at + 1)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut() {
        let wire = b"MSG a.b 7 in.box 5\r\nhello\r\nPING\r\n";
        let (frame, length) = next(wire).ok().flatten().unwrap_or((Frame::Ok, 0));
        let message = Delivered { subject: "a.b".into(), sid: 7, reply: Some("in.box".into()), headers: String::new(), payload: b"hello".to_vec() };
        assert_eq!(frame, Frame::Message(message));
        assert_eq!(next(wire.get(length..).unwrap_or_default()), Ok(Some((Frame::Ping, 6))));
        for cut in 0..length {
            assert_eq!(next(wire.get(..cut).unwrap_or_default()), Ok(None), "{cut}");
        }
    }

    #[test]
    fn headers_are_kept_apart() {
        let head = "NATS/1.0 503\r\nNats-Consumer-Stalled: x.y\r\n\r\n";
        let wire = format!("HMSG s 1 {} {}\r\n{head}\r\n", head.len(), head.len());
        let Ok(Some((Frame::Message(message), length))) = next(wire.as_bytes()) else { unreachable!() };
        assert_eq!((length, message.status(), message.header("nats-consumer-stalled")), (wire.len(), Some(503), Some("x.y")));
    }

    #[test]
    fn garbage_is_an_error() {
        for wire in [&b"HELLO\r\n"[..], b"MSG a\r\n", b"MSG a b 1\r\nx\r\n", b"HMSG a 1 9 2\r\nxx\r\n", b"MSG a 1 x\r\n"] {
            assert!(next(wire).is_err(), "{}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn reply_subjects_tell_the_place() {
        assert_eq!(place("$JS.ACK.s.c.2.17.20.1700000000.5"), Some(Place { delivered: 2, sequence: 17 }));
        assert_eq!(place("$JS.ACK.d.acc.s.c.1.9.3.1700000000.0.rnd"), Some(Place { delivered: 1, sequence: 9 }));
        assert_eq!(place("_INBOX.x"), None);
    }
}
