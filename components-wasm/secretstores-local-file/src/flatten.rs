//! From the JSON of the file to names and values. Pure; linear in the file.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Values by name.
pub type Pairs = BTreeMap<String, String>;

/// Secrets by name.
pub type Secrets = BTreeMap<String, Pairs>;

fn visit(name: String, value: &Value, separator: &str, out: &mut Pairs) {
    let below = |part: &str| format!("{name}{separator}{part}");
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| visit(below(k), v, separator, out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| visit(below(&i.to_string()), v, separator, out)),
        Value::String(text) => {
            out.entry(name).or_insert_with(|| text.clone());
        }
        Value::Null => {
            out.entry(name).or_default();
        }
        other => {
            out.entry(name).or_insert_with(|| other.to_string());
        }
    }
}

fn pairs(fields: &Map<String, Value>, separator: &str) -> Pairs {
    let mut out = Pairs::new();
    fields.iter().for_each(|(k, v)| visit(k.clone(), v, separator, &mut out));
    out
}

pub fn secrets(file: &Map<String, Value>, separator: &str, multi_valued: bool) -> Secrets {
    let single = |name: String, value: String| (name.clone(), Pairs::from([(name, value)]));
    if !multi_valued {
        return pairs(file, separator).into_iter().map(|(n, v)| single(n, v)).collect();
    }
    let secret = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some(single(name.clone(), text.clone())),
        Value::Object(fields) => Some((name.clone(), pairs(fields, separator))),
        _ => None,
    };
    file.iter().filter_map(secret).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn parsed(json: &str, separator: &str, multi_valued: bool) -> String {
        let file: Map<String, Value> = serde_json::from_str(json).unwrap();
        serde_json::to_string(&secrets(&file, separator, multi_valued)).unwrap()
    }

    #[test]
    fn each_value_is_a_secret() {
        assert_eq!(
            parsed(r#"{"root": {"key1": "v1", "list": ["a", {"b": true}]}, "n": 1.5, "z": null}"#, ":", false),
            r#"{"n":{"n":"1.5"},"root:key1":{"root:key1":"v1"},"root:list:0":{"root:list:0":"a"},"root:list:1:b":{"root:list:1:b":"true"},"z":{"z":""}}"#
        );
        assert_eq!(parsed(r#"{"a": {"b": "1"}}"#, ".", false), r#"{"a.b":{"a.b":"1"}}"#);
    }

    #[test]
    fn each_entry_is_a_secret() {
        assert_eq!(
            parsed(r#"{"parent": {"child1": "12345", "child2": {"child3": "67890"}}, "text": "t", "list": ["x"], "n": 1}"#, ":", true),
            r#"{"parent":{"child1":"12345","child2:child3":"67890"},"text":{"text":"t"}}"#
        );
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        assert_eq!(parsed(r#"{"a:b": "second", "a": {"b": "first"}}"#, ":", false), r#"{"a:b":{"a:b":"first"}}"#);
    }
}
