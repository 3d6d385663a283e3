//! JSON text as Go's encoder writes it, and Go's `strconv.Unquote`.
//!
//! Metadata values that are not strings become the JSON text of the value, and that text is compared and parsed by
//! components: keys sorted, `<`, `>` and `&` escaped, whole floats without a point, exponents only where Go uses them.

use serde_json::Value;
use std::fmt::Write;

/// Compact JSON of `value` in Go's spelling.
pub fn encode(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// A number in Go's spelling: `1000`, `0.5`, `1e+21`, `1e-7`.
pub fn number(value: &serde_json::Number) -> String {
    match value.as_f64() {
        Some(float) if value.is_f64() => float_text(float),
        _ => value.to_string(),
    }
}

fn float_text(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{float:e}");
        return if magnitude < 1.0 { text } else { text.replacen('e', "e+", 1) };
    }
    format!("{float}")
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number(value)),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // writing into a String cannot fail
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Go's `strconv.Unquote`: the content of a text that is one Go string or character literal, else nothing.
///
/// Dapr passes every metadata value through this, including resolved secrets and environment variables: a secret
/// `"abc"` written with its quotes reaches the component without them.
pub fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    match quote {
        '`' if !inner.contains('`') => Some(inner.replace('\r', "")),
        '"' => unescape(inner, '"'),
        '\'' => unescape(inner, '\'').filter(|content| content.chars().count() == 1),
        _ => None,
    }
}

/// `text`, or what is inside when it is a quoted Go literal.
pub fn unquoted(text: &str) -> String {
    unquote(text).unwrap_or_else(|| text.to_owned())
}

fn unescape(inner: &str, quote: char) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == quote || c == '\n' {
            return None;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '\\' => out.push('\\'),
            escaped @ ('"' | '\'') if escaped == quote => out.push(escaped),
            'x' => out.push(coded(&mut chars, 2, 16)?),
            'u' => out.push(coded(&mut chars, 4, 16)?),
            'U' => out.push(coded(&mut chars, 8, 16)?),
            digit @ '0'..='7' => {
                let rest: String = chars.by_ref().take(2).collect();
                let code = u32::from_str_radix(&format!("{digit}{rest}"), 8).ok().filter(|_| rest.len() == 2)?;
                out.push(char::from_u32(code).filter(char::is_ascii)?);
            }
            _ => return None,
        }
    }
    Some(out)
}

fn coded(chars: &mut std::str::Chars<'_>, width: usize, radix: u32) -> Option<char> {
    let text: String = chars.by_ref().take(width).collect();
    if text.len() != width {
        return None;
    }
    let code = u32::from_str_radix(&text, radix).ok()?;
    // a two-digit escape is a byte, not a code point: above ASCII it would have to form UTF-8 with its neighbours
    char::from_u32(code).filter(|c| width > 2 || c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn encodes_in_gos_spelling() {
        assert_eq!(encode(&json!({"b": 1, "a": ["<x>", 1.0, 0.5, true, null]})), r#"{"a":["\u003cx\u003e",1,0.5,true,null],"b":1}"#);
        assert_eq!(encode(&json!(1e21)), "1e+21");
        assert_eq!(encode(&json!(1e-7)), "1e-7");
        assert_eq!(encode(&json!(100000.0)), "100000");
    }

    #[test]
    fn unquotes_go_literals_only() {
        assert_eq!(unquote(r#""a\"b\u003c\n""#).as_deref(), Some("a\"b<\n"));
        assert_eq!(unquote("`raw\\n`").as_deref(), Some("raw\\n"));
        assert_eq!(unquote("'x'").as_deref(), Some("x"));
        assert_eq!(unquote("'xy'"), None);
        assert_eq!(unquote("plain"), None);
        assert_eq!(unquote("\""), None);
        assert_eq!(unquote(r#""a"b""#), None);
        assert_eq!(unquoted("\"s3cret\""), "s3cret");
    }
}
