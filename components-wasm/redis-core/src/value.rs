//! Replies of the server (RESP2, and RESP3's null, boolean, double, map, set and verbatim types where a proxy speaks them).
//!
//! [`Decoder`] keeps its place between reads, so that a reply of many parts that arrives in many pieces is read once.

use crate::Error;

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Nil,
    Ok,
    Int(i64),
    Status(String),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
    /// An error inside an array (`EXEC`) or as the whole reply.
    Error(String),
}

impl Value {
    /// The reply as a result: an error reply becomes an `Err`.
    pub fn into_result(self) -> Result<Value, Error> {
        match self {
            Self::Error(text) => Err(Error::Server(text)),
            value => Ok(value),
        }
    }

    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            Self::Status(text) => Some(text.into_bytes()),
            Self::Ok => Some(b"OK".to_vec()),
            Self::Int(n) => Some(n.to_string().into_bytes()),
            Self::Nil | Self::Array(_) | Self::Error(_) => None,
        }
    }

    pub fn into_text(self) -> Option<String> {
        self.into_bytes().map(|b| String::from_utf8(b).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    pub fn into_array(self) -> Option<Vec<Value>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// For the text of an error.
    pub(crate) fn unexpected(&self) -> Error {
        let mut text = format!("{self:?}");
        text.truncate(text.floor_char_boundary(200));
        Error::Reply(text)
    }
}

/// Turns bytes into replies.
#[derive(Default)]
pub(crate) struct Decoder {
    /// Arrays under construction, outermost first: how many items are missing, and those present.
    open: Vec<(usize, Vec<Value>)>,
}

enum Part {
    Whole(Value),
    Array(usize),
}

fn line(buffer: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = buffer.get(at..)?;
    // Headers are short: a plain loop beats a vectorised search here.
    let end = rest.iter().position(|b| *b == b'\r')?;
    (end + 1 < rest.len()).then(|| (rest.get(..end).unwrap_or_default(), at + end + 2))
}

fn number(text: &[u8]) -> Result<i64, Error> {
    let (digits, negative) = match text {
        [b'-', rest @ ..] => (rest, true),
        [b'+', rest @ ..] => (rest, false),
        rest => (rest, false),
    };
    let mut n: i64 = 0;
    for b in digits {
        let digit = b.wrapping_sub(b'0');
        let next = n.checked_mul(10).and_then(|n| n.checked_sub(i64::from(digit)));
        n = next.filter(|_| digit < 10).ok_or_else(|| Error::Reply("malformed number".into()))?;
    }
    if digits.is_empty() {
        return Err(Error::Reply("malformed number".into()));
    }
    // Counted downwards, because the least number has no positive counterpart.
    if negative { Ok(n) } else { n.checked_neg().ok_or_else(|| Error::Reply("number out of range".into())) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Decoder {
    /// The next reply at `at`, which moves past what was read; `None` when the rest has not arrived yet.
    pub(crate) fn next(&mut self, buffer: &[u8], at: &mut usize) -> Result<Option<Value>, Error> {
        loop {
            let Some((part, end)) = part(buffer, *at)? else { return Ok(None) };
            *at = end;
            let mut value = match part {
                Part::Array(0) => Value::Array(Vec::new()),
                Part::Array(n) => {
                    // A count is only a promise: reserve little until the items are there.
                    self.open.push((n, Vec::with_capacity(n.min(1024))));
                    continue;
                }
                Part::Whole(value) => value,
            };
            loop {
                let Some((missing, items)) = self.open.last_mut() else { return Ok(Some(value)) };
                items.push(value);
                *missing -= 1;
                if *missing > 0 {
                    break;
                }
                let Some((_, items)) = self.open.pop() else { return Ok(None) };
                value = Value::Array(items);
            }
        }
    }
}

fn part(buffer: &[u8], at: usize) -> Result<Option<(Part, usize)>, Error> {
    let Some(kind) = buffer.get(at) else { return Ok(None) };
    let Some((head, end)) = line(buffer, at + 1) else { return Ok(None) };
    let whole = |v| Ok(Some((Part::Whole(v), end)));
    match kind {
        b'$' | b'=' | b'!' => {
            let n = number(head)?;
            let Ok(n) = usize::try_from(n) else { return whole(Value::Nil) };
            let Some(data) = buffer.get(end..end + n).filter(|_| buffer.len() >= end + n + 2) else { return Ok(None) };
            let value = match kind {
                b'$' => Value::Bulk(data.to_vec()),
                b'!' => Value::Error(text(data)),
                // Verbatim text begins with its format, `txt:`.
                _ => Value::Bulk(data.get(4..).unwrap_or_default().to_vec()),
            };
            Ok(Some((Part::Whole(value), end + n + 2)))
        }
        b'*' | b'~' | b'>' => match usize::try_from(number(head)?) {
            Ok(n) => Ok(Some((Part::Array(n), end))),
            Err(_) => whole(Value::Nil),
        },
        b'%' => {
            let n = usize::try_from(number(head)?).map_err(|_| Error::Reply("malformed map".into()))?;
            Ok(Some((Part::Array(n * 2), end)))
        }
        b'+' if head == b"OK" => whole(Value::Ok),
        b'+' => whole(Value::Status(text(head))),
        b'-' => whole(Value::Error(text(head))),
        b':' => whole(Value::Int(number(head)?)),
        b'_' => whole(Value::Nil),
        b'#' => whole(Value::Int(i64::from(head == b"t"))),
        b',' | b'(' => whole(Value::Bulk(head.to_vec())),
        other => Err(Error::Reply(format!("unknown type {:?}", char::from(*other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_give_the_same_replies() {
        let wire =
            b"+OK\r\n:-12\r\n$3\r\na\r\n\r\n$-1\r\n*3\r\n$1\r\nx\r\n*0\r\n*2\r\n-ERR no\r\n:7\r\n*-1\r\n%1\r\n+k\r\n#t\r\n:-9223372036854775808\r\n";
        let want = vec![
            Value::Ok,
            Value::Int(-12),
            Value::Bulk(b"a\r\n".to_vec()),
            Value::Nil,
            Value::Array(vec![Value::Bulk(b"x".to_vec()), Value::Array(vec![]), Value::Array(vec![Value::Error("ERR no".into()), Value::Int(7)])]),
            Value::Nil,
            Value::Array(vec![Value::Status("k".into()), Value::Int(1)]),
            Value::Int(i64::MIN),
        ];
        for step in 1..wire.len() {
            let (mut decoder, mut at, mut got) = (Decoder::default(), 0, Vec::new());
            let mut seen = 0;
            while seen < wire.len() {
                seen = (seen + step).min(wire.len());
                while let Some(v) = decoder.next(&wire[..seen], &mut at).unwrap() {
                    got.push(v);
                }
            }
            assert_eq!(got, want, "step {step}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for wire in [&b"?x\r\n"[..], b":1a\r\n", b"$x\r\n", b":\r\n"] {
            assert!(Decoder::default().next(wire, &mut 0).is_err());
        }
    }
}
