//! JSON in Go's manner: what its encoder writes, and what its decoder accepts and says when it does not.
//!
//! Reading takes the first value and ignores what follows it; names match without regard to case; `null` means absent.

mod explain;
mod fields;

pub use fields::{Fields, Mismatch};

use serde::{Deserialize, Serialize};
use serde_json::ser::{CharEscape, Formatter};
use std::io::{self, Write};

/// Compact JSON; `<`, `>`, `&` and the two line separators of Unicode are escaped.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Go);
    // Writing to memory does not fail, and what is written here has only texts as names.
    let _ = value.serialize(&mut serializer);
    out
}

/// Appends a text, quoted.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Go);
    let _ = text.serialize(&mut serializer);
}

/// Appends a JSON text without the spaces between its tokens.
pub fn push_compact(out: &mut Vec<u8>, json: &str) {
    let mut inside = false;
    let mut escaped = false;
    let mut plain = 0;
    for (at, byte) in json.bytes().enumerate() {
        let replacement: Option<&[u8]> = match byte {
            b' ' | b'\t' | b'\r' | b'\n' if !inside => Some(b""),
            b'<' => Some(b"\\u003c"),
            b'>' => Some(b"\\u003e"),
            b'&' => Some(b"\\u0026"),
            _ => None,
        };
        if let Some(replacement) = replacement {
            out.extend_from_slice(json.as_bytes().get(plain..at).unwrap_or_default());
            out.extend_from_slice(replacement);
            plain = at + 1;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    out.extend_from_slice(json.as_bytes().get(plain..).unwrap_or_default());
}

/// The first value of a body. `go_type` is what Go calls the wanted type; the error is what Go's decoder says.
pub fn decode<'a, T: Deserialize<'a>>(body: &'a [u8], go_type: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    T::deserialize(&mut reader).map_err(|error| explain::error(body, &error, go_type))
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            let escape = match character {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(fragment.as_bytes().get(plain..at).unwrap_or_default())?;
            writer.write_all(escape.as_bytes())?;
            plain = at + character.len_utf8();
        }
        writer.write_all(fragment.as_bytes().get(plain..).unwrap_or_default())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let magnitude = value.abs();
        if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
            return write!(writer, "{value}");
        }
        let text = format!("{value:e}");
        if magnitude < 1.0 { writer.write_all(text.as_bytes()) } else { writer.write_all(text.replacen('e', "e+", 1).as_bytes()) }
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut compact = Vec::with_capacity(fragment.len());
        push_compact(&mut compact, fragment);
        writer.write_all(&compact)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn texts_and_numbers_are_gos() {
        let value = json!({"b": "<a&b>\u{2028}\"\n", "a": [1, 1.0, 1e21, 1e-7, 0.5, -0.0]});
        assert_eq!(String::from_utf8(encode(&value)).unwrap(), r#"{"a":[1,1,1e+21,1e-7,0.5,-0],"b":"\u003ca\u0026b\u003e\u2028\"\n"}"#);
        let mut out = Vec::new();
        push_compact(&mut out, "{ \"a b\" : [ 1, \"<\\\" \" ] }\n");
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":[1,"\u003c\" "]}"#);
    }

    #[test]
    fn errors_are_gos() {
        let said = |body: &str| decode::<Vec<Value>>(body.as_bytes(), "[]T").unwrap_err();
        assert_eq!(said(""), "EOF");
        assert_eq!(said(r#"{"entryID": "}"#), "unexpected EOF");
        assert_eq!(said(r#"{"entryID": ""}"#), "json: cannot unmarshal object into Go value of type []T");
        assert_eq!(said("[1,]"), "invalid character ']' looking for beginning of value");
        assert_eq!(said("[1 2]"), "invalid character '2' after array element");
        assert_eq!(decode::<Vec<Value>>(b"[1] rubbish", "[]T").unwrap(), [json!(1)]);
    }
}
