//! What Go's decoder would have said.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

/// The text for a body that could not be decoded as `go_type`. Go checks the whole value's syntax first, so that is done here as well.
pub fn error(body: &[u8], cause: &serde_json::Error, go_type: &str) -> String {
    let mut reader = serde_json::Deserializer::from_slice(body);
    match IgnoredAny::deserialize(&mut reader) {
        Err(error) => syntax(body, &error),
        // A mismatch inside the value says so itself.
        Ok(_) if cause.to_string().starts_with("json: ") => inner(cause),
        Ok(_) => format!("json: cannot unmarshal {} into Go value of type {go_type}", kind(body)),
    }
}

fn inner(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// What Go calls the value that a JSON text is.
pub fn kind(json: &[u8]) -> &'static str {
    match json.trim_ascii_start().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn syntax(body: &[u8], error: &serde_json::Error) -> String {
    if error.classify() == Category::Eof {
        return if body.trim_ascii().is_empty() { "EOF" } else { "unexpected EOF" }.to_owned();
    }
    let text = error.to_string();
    let context = match text.as_str() {
        t if t.starts_with("key must be a string") => "looking for beginning of object key string",
        t if t.starts_with("expected `:`") => "after object key",
        t if t.starts_with("expected `,` or `]`") => "after array element",
        t if t.starts_with("expected `,` or `}`") => "after object key:value pair",
        t if t.starts_with("control character") => "in string literal",
        t if t.starts_with("invalid escape") => "in string escape code",
        t if t.starts_with("expected ident") => "in literal",
        t if t.starts_with("invalid number") => "in numeric literal",
        t if t.starts_with("trailing comma") || t.starts_with("expected value") => match offender(body, error) {
            Some('}') => "looking for beginning of object key string",
            _ => "looking for beginning of value",
        },
        _ => return inner(error),
    };
    match offender(body, error) {
        Some('\'') => format!("invalid character '\\'' {context}"),
        Some(character) => format!("invalid character {character:?} {context}"),
        None => "unexpected EOF".to_owned(),
    }
}

/// The character that an error points at.
fn offender(body: &[u8], error: &serde_json::Error) -> Option<char> {
    let line = body.split(|b| *b == b'\n').nth(error.line().checked_sub(1)?)?;
    let rest = line.get(error.column().checked_sub(1)?..)?;
    String::from_utf8_lossy(rest).chars().next()
}
