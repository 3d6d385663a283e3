//! The `configuration` of a resolver as a component reads it: names and values. What lies deeper gets a name of its path,
//! `client.address`; an object or a list that the component's manifest knows by its name stays whole, as JSON.

use proa_host::Manifest;
use serde_json::Value;

/// See the module's text. The error is a configuration that is no object.
pub fn flatten(configuration: &Value, manifest: &Manifest) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    match configuration {
        Value::Null => {}
        Value::Object(_) => add(&mut out, "", configuration, manifest),
        _ => return Err("nameResolution.configuration is not an object".into()),
    }
    Ok(out)
}

fn add(out: &mut Vec<(String, String)>, path: &str, value: &Value, manifest: &Manifest) {
    let text = match value {
        Value::Null => return,
        Value::Object(fields) if manifest.field(path).is_none() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                add(out, &path, value, manifest);
            }
            return;
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    out.push((path.to_owned(), text));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_names_and_known_objects_stay_whole() {
        let manifest = json!({"schemaVersion": 1, "kind": "nameresolution", "types": [], "metadata": [{"name": "client.address"}, {"name": "meta"}]});
        let manifest = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
        let configuration = json!({"Client": {"address": "a:1", "deeper": {"x": true}}, "meta": {"k": "v"}, "tags": ["t", 2], "nothing": null});
        let flat = flatten(&configuration, &manifest).unwrap();
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(flat, [pair("Client.address", "a:1"), pair("Client.deeper.x", "true"), pair("meta", r#"{"k":"v"}"#), pair("tags", r#"["t",2]"#)]);
        assert!(flatten(&Value::Null, &manifest).unwrap().is_empty());
        assert!(flatten(&json!("text"), &manifest).is_err());
    }
}
