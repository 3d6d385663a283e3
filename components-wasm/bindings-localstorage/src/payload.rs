//! What `create` makes of its data: a quoted literal loses its quotes, then base64 is decoded. Data that are neither stay as they are.
//! Text that merely looks like base64 (`test`, for example) is decoded too: that is how files written by Dapr came about.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet::STANDARD};

const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

pub fn decode(data: Vec<u8>) -> Vec<u8> {
    let data = unquote(&data).unwrap_or(data);
    let lines: Vec<u8> = data.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    LENIENT.decode(&lines).unwrap_or(data)
}

/// The value of a literal of Go: in double quotes with escapes, in backquotes as it stands, or one character in single quotes.
fn unquote(data: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(data).ok()?;
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    if quote == '`' {
        return (!inner.contains('`')).then(|| inner.replace('\r', "").into_bytes());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut count = 0;
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        count += 1;
        match c {
            '\n' => return None,
            c if c == quote => return None,
            '\\' => escape(&mut chars, quote, &mut out)?,
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    (quote == '"' || count == 1).then_some(out)
}

fn escape(chars: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let kind = chars.next()?;
    let mut number = |digits: usize, radix: u32, first: u32| (0..digits).try_fold(first, |n, _| Some(n * radix + chars.next()?.to_digit(radix)?));
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        't' => 9,
        'n' => 10,
        'v' => 11,
        'f' => 12,
        'r' => 13,
        '\\' => b'\\',
        '"' | '\'' if kind == quote => kind as u8,
        'x' => u8::try_from(number(2, 16, 0)?).ok()?,
        '0'..='7' => u8::try_from(number(2, 8, kind.to_digit(8)?)?).ok()?,
        'u' | 'U' => {
            let c = char::from_u32(number(if kind == 'u' { 4 } else { 8 }, 16, 0)?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(byte);
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        String::from_utf8(decode(text.into())).unwrap()
    }

    #[test]
    fn quotes() {
        assert_eq!(decoded(r#""hello, world""#), "hello, world");
        assert_eq!(decoded(r#""a\tb\n\u00e9\x21\"""#), "a\tb\né!\"");
        assert_eq!(decoded("`raw \\n`"), "raw \\n");
        assert_eq!(decoded("'!'"), "!");
        assert_eq!(decoded("'!!'"), "'!!'");
        assert_eq!(decoded(r#""a\/b""#), r#""a\/b""#);
        assert_eq!(decoded("\"open"), "\"open");
        assert_eq!(decoded(r#"{"a": 1}"#), r#"{"a": 1}"#);
        assert_eq!(decode(vec![0xff, 0xfe]), [0xff, 0xfe]);
    }

    #[test]
    fn base64() {
        assert_eq!(decoded("aGVsbG8="), "hello");
        assert_eq!(decoded("\"aGVs\\nbG8=\""), "hello");
        assert_eq!(decoded("aGVsbG8"), "aGVsbG8");
        assert_eq!(decoded(""), "");
    }
}
