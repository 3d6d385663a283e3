//! Quoting as Go does it: `%q` for text lines, `encoding/json` for JSON lines.

use std::fmt::Write;

/// Appends `value`, quoted only if it has to be.
pub(super) fn push_text(value: &str, line: &mut String) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if value.bytes().all(plain) {
        line.push_str(value);
    } else {
        push_quoted(value, line);
    }
}

/// Appends `value` as a Go string literal.
pub(super) fn push_quoted(value: &str, line: &mut String) {
    line.push('"');
    for (plain, special) in runs(value, |c| matches!(c, ' '..='~') && c != '"' && c != '\\') {
        line.push_str(plain);
        let Some(c) = special else { continue };
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\u{7}' => line.push_str("\\a"),
            '\u{8}' => line.push_str("\\b"),
            '\u{c}' => line.push_str("\\f"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\u{b}' => line.push_str("\\v"),
            c if is_printable(c) => line.push(c),
            c => push_escape(c, line),
        }
    }
    line.push('"');
}

fn push_escape(c: char, line: &mut String) {
    let code = u32::from(c);
    // writing to a String cannot fail
    let _infallible = match code {
        0..=0x7f => write!(line, "\\x{code:02x}"),
        0x80..=0xffff => write!(line, "\\u{code:04x}"),
        _ => write!(line, "\\U{code:08x}"),
    };
}

/// Whether a character outside ASCII is one to see. The leading letter keeps a combining mark from counting as
/// unprintable because it would stand alone.
fn is_printable(c: char) -> bool {
    let mut pair = [0; 8];
    let Some((first, rest)) = pair.split_first_mut() else {
        return false;
    };
    *first = b'a';
    let length = c.encode_utf8(rest).len();
    let pair = pair.get(..=length).and_then(|pair| std::str::from_utf8(pair).ok()).unwrap_or_default();
    !c.is_ascii() && pair.escape_debug().nth(1) != Some('\\')
}

/// Appends `value` as a JSON string, with `<`, `>` and `&` escaped too, as Go's encoder does by default.
pub(super) fn push_json(value: &str, line: &mut String) {
    line.push('"');
    for (plain, special) in runs(value, |c| !matches!(c, '\0'..='\x1f' | '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')) {
        line.push_str(plain);
        let Some(c) = special else { continue };
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\u{8}' => line.push_str("\\b"),
            '\u{c}' => line.push_str("\\f"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c => {
                let _infallible = write!(line, "\\u{:04x}", u32::from(c));
            }
        }
    }
    line.push('"');
}

/// `value` as stretches of plain characters, each with the character that ends it.
fn runs(value: &str, plain: impl Fn(char) -> bool) -> impl Iterator<Item = (&str, Option<char>)> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((at, special)) = text.char_indices().find(|(_, c)| !plain(*c)) else {
            rest = None;
            return Some((text, None));
        };
        rest = text.get(at + special.len_utf8()..);
        Some((text.get(..at).unwrap_or_default(), Some(special)))
    })
}
