//! Percent-encoding of paths and queries as forms encode them. Never fails: what is malformed stays as it is.

/// The text behind percent-encoding; with `plus`, `+` is a space.
pub fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let digits = bytes.get(at..at + 2).filter(|_| byte == b'%').and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 2;
            }
            None if plus && byte == b'+' => out.push(b' '),
            None => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The pairs of a query. Pairs that hold a semicolon are left out, as Go's servers do.
pub fn parse(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// A query with its names in alphabetical order; values of one name keep theirs.
pub fn encode(mut pairs: Vec<(String, String)>) -> String {
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", form(name), form(value))).collect();
    pairs.join("&")
}

fn form(text: &str) -> String {
    text.bytes().map(|b| if b == b' ' { "+".to_owned() } else { percent(b, b"-_.~") }).collect()
}

/// A path, with a query if it has one, fit for the wire: what is encoded already stays.
pub fn path(text: &str) -> String {
    text.bytes().map(|b| percent(b, b"-_.~!$&'()*+,;=:@/%?[]")).collect()
}

fn percent(byte: u8, plain: &[u8]) -> String {
    if byte.is_ascii_alphanumeric() || plain.contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(decode("a%20b%2Fc%é%4", false), "a b/c%é%4");
        assert_eq!(decode("a+b%ff", true), "a b\u{fffd}");
        assert_eq!(encode(parse("b=2&a=x+y&b=%26&c")), "a=x+y&b=2&b=%26&c=");
        assert_eq!(path("/a b/%20?x=é"), "/a%20b/%20?x=%C3%A9");
    }
}
