//! YAML text to JSON values with the scalars of YAML 1.1, which is what Dapr's loaders read: plain `yes`, `on` and `y`
//! are booleans, `0755` is octal, `1_000` is a number; quoted text stays text. Later duplicates of a key win,
//! `<<` merges, keys become strings (a plain key `on` is thus `true`, as it is in Dapr).
//!
//! The parser itself reads YAML 1.2. Whether a scalar was quoted is seen from where its text lies in the input.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A document that is not YAML, or that JSON cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error converting YAML to JSON: yaml: {at}{problem}")]
pub(crate) struct YamlError {
    at: String,
    problem: String,
}

/// The documents of a stream in order. A line that begins with `---` separates, whatever else stands on it.
pub(crate) fn documents(stream: &str) -> Vec<&str> {
    const SEPARATOR: &str = "\n---";
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some(at) = rest.find(SEPARATOR) {
        let (document, tail) = rest.split_at(at);
        found.push(document);
        let tail = tail.get(SEPARATOR.len()..).unwrap_or_default();
        rest = tail.find('\n').and_then(|end| tail.get(end..)).unwrap_or_default();
    }
    if !rest.trim().is_empty() || found.is_empty() {
        found.push(rest);
    }
    found
}

/// The first document of `text` as a JSON value; `Null` for one without content.
pub(crate) fn parse(text: &str) -> Result<Value, YamlError> {
    let Some(document) = serde_yaml::Deserializer::from_str(text).next() else {
        return Ok(Value::Null);
    };
    Node { input: text }.deserialize(document).map_err(|error| {
        let at = error.location().map(|place| format!("line {}: ", place.line())).unwrap_or_default();
        let full = error.to_string();
        // the position is put in front, where Go's parsers have it
        let problem = full.rsplit_once(" at line ").map_or(full.as_str(), |(problem, _)| problem).to_owned();
        YamlError { at, problem }
    })
}

/// What a plain scalar means beyond YAML 1.2; `None` when it is just text.
fn resolve_plain(text: &str) -> Option<Value> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Value::Bool(false)),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radixed = |body: &str, radix| i64::from_str_radix(&format!("{sign}{body}"), radix).ok();
    let integer = match digits.get(..2) {
        Some("0x" | "0X") => radixed(digits.get(2..)?, 16),
        Some("0o" | "0O") => radixed(digits.get(2..)?, 8),
        Some("0b" | "0B") => radixed(digits.get(2..)?, 2),
        _ if digits.len() > 1 && digits.starts_with('0') => radixed(digits, 8),
        _ => radixed(digits, 10),
    };
    if let Some(integer) = integer {
        return Some(Value::Number(integer.into()));
    }
    let decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let float: f64 = if decimal { plain.parse().ok()? } else { return None };
    Number::from_f64(float).map(Value::Number)
}

#[derive(Clone, Copy)]
struct Node<'i> {
    input: &'i str,
}

impl Node<'_> {
    /// Whether `slice`, a part of the input, stands there without quotes and without a string tag.
    fn is_plain(&self, slice: &str) -> bool {
        let Some(offset) = (slice.as_ptr() as usize).checked_sub(self.input.as_ptr() as usize) else {
            return false;
        };
        let Some(before) = self.input.get(..offset) else {
            return false;
        };
        !before.ends_with(['"', '\'']) && !before.trim_end().ends_with("!!str")
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom(format!("{number} has no JSON form; quote it if it is text")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value, E> {
        let resolved = if self.is_plain(text) { resolve_plain(text) } else { None };
        Ok(resolved.unwrap_or_else(|| Value::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut merged = Map::new();
        while let Some(key) = entries.next_key_seed(self)? {
            let value = entries.next_value_seed(self)?;
            let key = match key {
                Value::String(key) => key,
                Value::Bool(_) | Value::Number(_) | Value::Null => crate::go_json::encode(&key),
                _ => return Err(A::Error::custom("a list or a mapping cannot be a key")),
            };
            if key == "<<" {
                merge(&mut merged, value);
            } else {
                map.insert(key, value);
            }
        }
        for (key, value) in merged {
            map.entry(key).or_insert(value);
        }
        Ok(Value::Object(map))
    }
}

/// Of several merged mappings the earlier one wins.
fn merge(into: &mut Map<String, Value>, value: Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.entry(key).or_insert(value);
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| merge(into, item)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        let text = "a: yes\nb: \"yes\"\nc: 'on'\nd: off\ne: 0755\nf: \"0755\"\ng: 1_000\nh: 0x1F\ni: 1.50\nj: ~\nk: hello\nl: 089\nm: 1.2.3\nns: !!str yes\no: 2024-01-02\np: -5\nq: 10-20\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": true, "b": "yes", "c": "on", "d": false, "e": 493, "f": "0755", "g": 1000, "h": 31, "i": 1.5,
                "j": null, "k": "hello", "l": 89.0, "m": "1.2.3", "ns": "yes", "o": "2024-01-02", "p": -5, "q": "10-20"})
        );
    }

    #[test]
    fn anchors_merges_and_repeated_keys() {
        let text = "base: &b {x: 1, y1: 2}\nuse:\n  <<: *b\n  x: 3\nagain: 1\nagain: 2\n1: one\n";
        let value = parse(text).unwrap();
        assert_eq!(value["use"], json!({"x": 3, "y1": 2}));
        assert_eq!(value["again"], json!(2));
        assert_eq!(value["1"], json!("one"));
    }

    #[test]
    fn streams_split_on_separator_lines() {
        assert_eq!(documents("a: 1\n---\nb: 2\n").len(), 2);
        assert_eq!(documents("---\na: 1\n--- # next\nb: 2"), vec!["---\na: 1", "\nb: 2"]);
        assert_eq!(documents("a: 1\n---\n"), vec!["a: 1"]);
        assert_eq!(documents("").len(), 1);
        assert_eq!(parse("# nothing\n").unwrap(), Value::Null);
        assert_eq!(parse("---\na: 1").unwrap(), json!({"a": 1}));
    }

    #[test]
    fn errors_name_the_line() {
        let error = parse("a: 1\nb: [1, 2\nc: }").unwrap_err().to_string();
        assert!(error.starts_with("error converting YAML to JSON: yaml: line "), "{error}");
        assert!(parse("a: .inf").is_err());
    }
}
