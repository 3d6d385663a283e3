//! Queries and escaped path segments, read as Go reads them: `+` is a space, a pair with a bad escape or a semicolon is no pair.

use proa_model::Metadata;
use std::borrow::Cow;

const METADATA: &str = "metadata.";

/// The pairs of a query.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(name).ok()?, unescape(value).ok()?))
    })
}

/// The first value of a name.
pub fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    pairs(query?).find(|(n, _)| n == name).map(|(_, value)| value)
}

/// The pairs whose names start with `metadata.`, without that prefix.
pub fn metadata(query: Option<&str>) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in query.into_iter().flat_map(pairs) {
        if let Some(name) = name.strip_prefix(METADATA)
            && !metadata.iter().any(|(n, _)| n == name)
        {
            metadata.push((name.to_owned(), value.into_owned()));
        }
    }
    metadata
}

/// Lays `over` on `base`: its values win.
pub fn merge(base: &mut Metadata, over: &Metadata) {
    for (name, value) in over {
        match base.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => old.clone_from(value),
            None => base.push((name.clone(), value.clone())),
        }
    }
}

/// The error is the bad escape.
pub fn unescape(text: &str) -> Result<Cow<'_, str>, &str> {
    decode(text, true)
}

/// A path without its escapes; one that cannot be decoded stays as it is.
pub fn unescape_path(path: &str) -> Cow<'_, str> {
    decode(path, false).unwrap_or(Cow::Borrowed(path))
}

fn decode(text: &str, plus: bool) -> Result<Cow<'_, str>, &str> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut at = 0;
    while let Some((&first, following)) = rest.split_first() {
        let (byte, length) = match first {
            b'%' => match following {
                [high, low, ..] => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, 3),
                    _ => return Err(text.get(at..at + 3).unwrap_or(text)),
                },
                _ => return Err(text.get(at..).unwrap_or(text)),
            },
            b'+' if plus => (b' ', 1),
            other => (other, 1),
        };
        out.push(byte);
        rest = rest.get(length..).unwrap_or_default();
        at += length;
    }
    Ok(Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_gos() {
        assert_eq!(unescape("a%2Fb+c").unwrap(), "a/b c");
        assert_eq!(unescape("a%zz"), Err("%zz"));
        assert_eq!(unescape("a%2"), Err("%2"));
        assert_eq!(unescape_path("/a+b%20c"), "/a+b c");
    }

    #[test]
    fn only_the_first_value_counts() {
        let found = metadata(Some("metadata.a=1&x=2&metadata.a=3&metadata.b=%zz&metadata.c&d;metadata.e=1"));
        assert_eq!(found, [("a".to_owned(), "1".to_owned()), ("c".to_owned(), String::new())]);
        assert_eq!(value(Some("a=1&b=x%20y"), "b").unwrap(), "x y");
    }
}
