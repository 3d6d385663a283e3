//! Reading one JSON object field by field, with the path of every value for error messages.
//!
//! The names that are asked for are the schema: `finish` reports what was there but never asked for, with the nearest
//! known name. Coercions are those of Dapr's loaders: numbers and booleans become text where text is wanted, nothing
//! else is bent; names match exactly or, failing that, ignoring case.

use crate::{go_duration, go_json, nearest::nearest};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A value that cannot be used, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub field: String,
    pub problem: String,
}

/// Something odd that does not stop the resource from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub field: String,
    pub text: String,
}

type Read<T> = Result<T, FieldError>;

pub(crate) struct Fields<'v> {
    map: Option<&'v Map<String, Value>>,
    path: String,
    asked: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    /// An object, or the absence of one (`null`), which has no fields.
    pub fn of(value: Option<&'v Value>, path: &str) -> Read<Self> {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => return Err(mismatch(path, "a mapping", other)),
        };
        Ok(Self { map, path: path.to_owned(), asked: Vec::new() })
    }

    /// Whether `null` is written there.
    pub fn is_null(&mut self, name: &'static str) -> bool {
        self.asked.push(name);
        self.map.and_then(|map| map.get(name)).is_some_and(Value::is_null)
    }

    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value as it stands; `null` counts as absent.
    pub fn raw(&mut self, name: &'static str) -> Option<&'v Value> {
        self.asked.push(name);
        let map = self.map?;
        let found = map.get(name).or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v));
        found.filter(|value| !value.is_null())
    }

    /// Names that may be there and are of no interest.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.asked.extend_from_slice(names);
    }

    pub fn text_option(&mut self, name: &'static str) -> Read<Option<String>> {
        let path = self.path_of(name);
        self.raw(name).map(|value| text_of(value, &path)).transpose()
    }

    pub fn text(&mut self, name: &'static str) -> Read<String> {
        self.text_option(name).map(Option::unwrap_or_default)
    }

    pub fn flag_option(&mut self, name: &'static str) -> Read<Option<bool>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(mismatch(&self.path_of(name), "true or false", other)),
        }
    }

    pub fn flag(&mut self, name: &'static str) -> Read<bool> {
        self.flag_option(name).map(Option::unwrap_or_default)
    }

    pub fn integer_option<N: TryFrom<i64>>(&mut self, name: &'static str) -> Read<Option<N>> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        let wrong = || mismatch(&self.path_of(name), "an integer in range", value);
        let whole = value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64));
        whole.and_then(|number| N::try_from(number).ok()).map(Some).ok_or_else(wrong)
    }

    /// A Go duration such as `5s`.
    pub fn duration_option(&mut self, name: &'static str) -> Read<Option<Duration>> {
        let path = self.path_of(name);
        let Some(text) = self.text_option(name)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        go_duration::parse(&text).map(Some).map_err(|error| FieldError { field: path, problem: error.to_string() })
    }

    pub fn texts(&mut self, name: &'static str) -> Read<Vec<String>> {
        self.items(name)?.into_iter().map(|(value, path)| text_of(value, &path)).collect()
    }

    pub fn integers<N: TryFrom<i64>>(&mut self, name: &'static str) -> Read<Option<Vec<N>>> {
        if self.raw(name).is_none() {
            return Ok(None);
        }
        let items = self.items(name)?.into_iter().map(|(value, path)| {
            let number = value.as_i64().and_then(|number| N::try_from(number).ok());
            number.ok_or_else(|| mismatch(&path, "an integer in range", value))
        });
        items.collect::<Read<Vec<N>>>().map(Some)
    }

    /// A mapping from names to texts.
    pub fn text_map(&mut self, name: &'static str) -> Read<BTreeMap<String, String>> {
        self.entries(name)?.into_iter().map(|(key, value, path)| Ok((key.to_owned(), text_of(value, &path)?))).collect()
    }

    /// The items of a list with their paths; an absent list has none.
    pub fn items(&mut self, name: &'static str) -> Read<Vec<(&'v Value, String)>> {
        let path = self.path_of(name);
        match self.raw(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items.iter().enumerate().map(|(index, item)| (item, format!("{path}[{index}]"))).collect()),
            Some(other) => Err(mismatch(&path, "a list", other)),
        }
    }

    /// The entries of a mapping with their paths, sorted by name.
    pub fn entries(&mut self, name: &'static str) -> Read<Vec<(&'v str, &'v Value, String)>> {
        let path = self.path_of(name);
        match self.raw(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => {
                let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value, format!("{path}.{key}"))).collect();
                entries.sort_by_key(|entry| entry.0);
                Ok(entries)
            }
            Some(other) => Err(mismatch(&path, "a mapping", other)),
        }
    }

    pub fn child(&mut self, name: &'static str) -> Read<Fields<'v>> {
        let path = self.path_of(name);
        Fields::of(self.raw(name), &path)
    }

    pub fn child_option(&mut self, name: &'static str) -> Read<Option<Fields<'v>>> {
        let path = self.path_of(name);
        self.raw(name).map(|value| Fields::of(Some(value), &path)).transpose()
    }

    /// Reports every field that nobody asked for.
    pub fn finish(self, notes: &mut Vec<Note>) {
        for key in self.map.into_iter().flat_map(Map::keys) {
            if self.asked.iter().any(|name| name.eq_ignore_ascii_case(key)) {
                continue;
            }
            let hint = nearest(key, self.asked.iter().copied()).map(|known| format!("; the nearest known name is {known:?}")).unwrap_or_default();
            notes.push(Note { field: self.path_of(key), text: format!("unknown field {key:?} is ignored{hint}") });
        }
    }
}

/// Text where text is wanted: numbers and booleans in their written form.
pub(crate) fn text_of(value: &Value, path: &str) -> Read<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(go_json::number(number)),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Ok(String::new()),
        other => Err(mismatch(path, "a text", other)),
    }
}

pub(crate) fn mismatch(path: &str, wanted: &str, found: &Value) -> FieldError {
    let found = match found {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {}", go_json::number(number)),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    };
    FieldError { field: path.to_owned(), problem: format!("expected {wanted}, found {found}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn coerces_as_dapr_and_names_paths() {
        let value = json!({"version": 1.1, "Enabled": true, "count": 5, "when": "2s", "list": [1, "x"], "bad": {"a": 1}});
        let mut fields = Fields::of(Some(&value), "spec").unwrap();
        assert_eq!(fields.text("version").unwrap(), "1.1");
        assert!(fields.flag("enabled").unwrap());
        assert_eq!(fields.integer_option::<u8>("count").unwrap(), Some(5));
        assert_eq!(fields.duration_option("when").unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(fields.texts("list").unwrap(), ["1", "x"]);
        let error = fields.text("bad").unwrap_err();
        assert_eq!((error.field.as_str(), error.problem.as_str()), ("spec.bad", "expected a text, found a mapping"));
        assert_eq!(fields.text("absent").unwrap(), "");
    }

    #[test]
    fn what_nobody_asked_for_is_reported_with_a_hint() {
        let value = json!({"scope": ["a"], "spec": {}});
        let mut fields = Fields::of(Some(&value), "").unwrap();
        fields.ignore(&["spec", "scopes"]);
        let mut notes = Vec::new();
        fields.finish(&mut notes);
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].text, "unknown field \"scope\" is ignored; the nearest known name is \"scopes\"");
    }
}
