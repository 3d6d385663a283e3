//! One file as a value, and one value laid over another.

use super::expand::expand;
use crate::Error;
use crate::issue::reason;
use crate::yaml;
use serde_json::Value;
use std::path::Path;

/// The first document of a file, variables replaced.
pub(super) fn read_file(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Value, Error> {
    let failed = |operation| move |error: std::io::Error| Error::Read { operation, path: path.to_owned(), reason: reason(&error) };
    std::fs::metadata(path).map_err(failed("stat"))?;
    let bytes = std::fs::read(path).map_err(failed("open"))?;
    let text = expand(&String::from_utf8_lossy(&bytes), env);
    let malformed = |problem: String| Error::Malformed { path: path.to_owned(), problem };
    match yaml::parse(&text).map_err(|error| malformed(error.to_string()))? {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        value @ Value::Object(_) => Ok(value),
        _ => Err(malformed("a configuration must be a mapping".to_owned())),
    }
}

/// Puts `top` over `base`. `nameResolution.configuration` is one value for its reader: it is replaced, not merged.
pub(super) fn overlay(base: &mut Value, top: Value) {
    match (base, top) {
        (Value::Object(base), Value::Object(top)) => {
            for (key, value) in top {
                match base.get_mut(&key) {
                    Some(existing) if key != "configuration" => overlay(existing, value),
                    _ => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, top) => *base = top,
    }
}
