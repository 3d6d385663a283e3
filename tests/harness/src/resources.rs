//! YAML documents, written short.

/// A Component of `kind_name` (such as `state.in-memory`), version v1, with metadata as name/value pairs.
pub fn component(name: &str, type_name: &str, metadata: &[(&str, &str)]) -> String {
    let mut yaml = format!("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {type_name}\n  version: v1\n");
    if !metadata.is_empty() {
        yaml.push_str("  metadata:\n");
    }
    for (field, value) in metadata {
        // A JSON string is a YAML string whatever it holds.
        yaml.push_str(&format!("    - name: {field}\n      value: {}\n", serde_json::Value::from(*value)));
    }
    yaml
}

/// A declarative subscription (v2alpha1) with one path for everything.
pub fn subscription(name: &str, pubsub: &str, topic: &str, path: &str) -> String {
    format!(
        "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata:\n  name: {name}\nspec:\n  pubsubname: {pubsub}\n  topic: {topic}\n  routes:\n    default: {path}\n"
    )
}

/// A Configuration whose `spec` is the YAML `spec`, indented by two spaces.
pub fn configuration(spec: &str) -> String {
    format!("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: config\nspec:\n{spec}\n")
}
