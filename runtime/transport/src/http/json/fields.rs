//! An object as a list of names and unread values, for records with a value that must stay as it was sent.

use super::explain::kind;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of an object; none for `null`.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A field with a value of the wrong kind; the text is Go's.
#[derive(Debug)]
pub struct Mismatch(pub String);

impl<'a> Fields<'a> {
    /// The text of a field, by name without regard to case. The last one counts; `null` is as good as absent.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.get()).filter(|v| *v != "null")
    }

    /// A field read as `T`. `place` and `go_type` are Go's names for the field and its type.
    pub fn read<T: Deserialize<'a>>(&self, name: &str, place: &str, go_type: &str) -> Result<Option<T>, Mismatch> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match serde_json::from_str(raw) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Mismatch(format!("json: cannot unmarshal {} into Go struct field {place}.{name} of type {go_type}", kind(raw.as_bytes())))),
        }
    }

    pub fn text(&self, name: &str, place: &str) -> Result<Option<String>, Mismatch> {
        self.read(name, place, "string")
    }

    /// Name/value pairs; a value that is `null` is an empty text.
    pub fn pairs(&self, name: &str, place: &str) -> Result<Option<proa_model::Metadata>, Mismatch> {
        let Some(fields) = self.read::<Fields<'a>>(name, place, "map[string]string")? else { return Ok(None) };
        let mut pairs = proa_model::Metadata::new();
        for (key, value) in &fields.0 {
            let text: Option<String> = serde_json::from_str(value.get()).map_err(|_| {
                Mismatch(format!("json: cannot unmarshal {} into Go struct field {place}.{name} of type string", kind(value.get().as_bytes())))
            })?;
            pairs.push((key.clone().into_owned(), text.unwrap_or_default()));
        }
        Ok(Some(pairs))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(key) = map.next_key::<Name<'de>>()? {
            fields.push((key.0, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

/// Borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
