//! The parts of the configuration that go to Consul as they are: objects whose names are written in any case and come out as Consul's API
//! has them, without what is empty and without what it does not know. A value of the wrong type is an error that names the place.

use serde_json::{Map, Value};

/// What a value must be.
pub enum Shape {
    Text,
    Flag,
    Number,
    Any,
    List(&'static Shape),
    /// Names of the user's own.
    Map(&'static Shape),
    Object(&'static [(&'static str, &'static Shape)]),
}

use Shape::{Any, Flag, List, Number, Object, Text};

const TEXTS: Shape = List(&Text);
pub static TAGS: Shape = List(&Text);
pub static META: Shape = Shape::Map(&Text);
pub static CHECKS: Shape = List(&CHECK);
pub static CHECK: Shape = Object(&[
    ("CheckID", &Text),
    ("Name", &Text),
    // Goes out under another name.
    ("Args", &TEXTS),
    ("DockerContainerID", &Text),
    ("Shell", &Text),
    ("Interval", &Text),
    ("Timeout", &Text),
    ("TTL", &Text),
    ("HTTP", &Text),
    ("Header", &Shape::Map(&TEXTS)),
    ("Method", &Text),
    ("TCP", &Text),
    ("Status", &Text),
    ("Notes", &Text),
    ("TLSSkipVerify", &Flag),
    ("GRPC", &Text),
    ("GRPCUseTLS", &Flag),
    ("AliasNode", &Text),
    ("AliasService", &Text),
    ("DeregisterCriticalServiceAfter", &Text),
]);
static GATEWAY: Shape = Object(&[("Mode", &Text)]);
static UPSTREAM: Shape = Object(&[
    ("DestinationType", &Text),
    ("DestinationNamespace", &Text),
    ("DestinationName", &Text),
    ("Datacenter", &Text),
    ("LocalBindAddress", &Text),
    ("LocalBindPort", &Number),
    ("Config", &Any),
    ("MeshGateway", &GATEWAY),
]);
static PATH: Shape =
    Object(&[("ListenerPort", &Number), ("Path", &Text), ("LocalPathPort", &Number), ("Protocol", &Text), ("ParsedFromCheck", &Flag)]);
static PROXY: Shape = Object(&[
    ("DestinationServiceName", &Text),
    ("DestinationServiceID", &Text),
    ("LocalServiceAddress", &Text),
    ("LocalServicePort", &Number),
    ("Config", &Any),
    ("Upstreams", &List(&UPSTREAM)),
    ("MeshGateway", &GATEWAY),
    ("Expose", &Object(&[("Checks", &Flag), ("Paths", &List(&PATH))])),
]);
pub static REGISTRATION: Shape = Object(&[
    ("Kind", &Text),
    ("ID", &Text),
    ("Name", &Text),
    ("Tags", &TEXTS),
    ("Port", &Number),
    ("Address", &Text),
    ("TaggedAddresses", &Shape::Map(&Object(&[("Address", &Text), ("Port", &Number)]))),
    ("EnableTagOverride", &Flag),
    ("Meta", &Shape::Map(&Text)),
    ("Weights", &Object(&[("Passing", &Number), ("Warning", &Number)])),
    ("Check", &CHECK),
    ("Checks", &CHECKS),
    ("Proxy", &PROXY),
    ("Connect", &Object(&[("Native", &Flag), ("SidecarService", &REGISTRATION)])),
]);

/// A JSON text in Consul's words; none when it is empty or null. `at` names the place in errors.
pub fn read(text: &str, shape: &Shape, at: &str) -> Result<Option<Value>, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("error deserializing to configSpec: {at}: {e}"))?;
    shape.take(value, at).map_err(|e| format!("error deserializing to configSpec: {e}"))
}

impl Shape {
    fn take(&self, value: Value, at: &str) -> Result<Option<Value>, String> {
        let out = match (self, value) {
            (_, Value::Null) => return Ok(None),
            (Any, value) => value,
            (Text, value @ Value::String(_)) | (Flag, value @ Value::Bool(_)) | (Number, value @ Value::Number(_)) => value,
            (List(inner), Value::Array(values)) => {
                let taken = values.into_iter().enumerate().map(|(i, v)| inner.take(v, &format!("{at}[{i}]")));
                Value::Array(taken.filter_map(Result::transpose).collect::<Result<_, _>>()?)
            }
            (Shape::Map(inner), Value::Object(fields)) => {
                let mut out = Map::new();
                for (name, value) in fields {
                    let value = inner.take(value, &format!("{at}.{name}"))?;
                    out.insert(name, value.unwrap_or_default());
                }
                Value::Object(out)
            }
            (Object(known), Value::Object(fields)) => Value::Object(object(known, fields, at)?),
            (_, value) => return Err(format!("{at}: {value} is not {}", self.name())),
        };
        Ok((!is_empty(&out)).then_some(out))
    }

    fn name(&self) -> &'static str {
        match self {
            Text => "a text",
            Flag => "true or false",
            Number => "a number",
            Any => "a value",
            List(_) => "a list",
            Shape::Map(_) | Object(_) => "an object",
        }
    }
}

fn object(known: &[(&'static str, &'static Shape)], fields: Map<String, Value>, at: &str) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    for (name, value) in fields {
        let Some((name, shape)) = known.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name)) else { continue };
        if let Some(value) = shape.take(value, &format!("{at}.{name}"))? {
            out.insert(if *name == "Args" { "ScriptArgs" } else { name }.to_owned(), value);
        }
    }
    Ok(out)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_become_consuls() {
        let given =
            json!([{"name": "n", "checkid": "c", "HTTP": "http://a", "args": ["x"], "tlsSkipVerify": false, "header": {"X-a": ["1"]}, "odd": 1}]);
        let wanted = json!([{"Name": "n", "CheckID": "c", "HTTP": "http://a", "ScriptArgs": ["x"], "Header": {"X-a": ["1"]}}]);
        assert_eq!(read(&given.to_string(), &CHECKS, "checks").unwrap(), Some(wanted));
        let nested =
            json!({"name": "a", "connect": {"sidecarService": {"name": "b", "port": 3, "proxy": {"config": {"Any": 1}}}}, "weights": {"passing": 1}});
        let wanted =
            json!({"Name": "a", "Connect": {"SidecarService": {"Name": "b", "Port": 3, "Proxy": {"Config": {"Any": 1}}}}, "Weights": {"Passing": 1}});
        assert_eq!(read(&nested.to_string(), &REGISTRATION, "r").unwrap(), Some(wanted));
        assert_eq!(read("null", &REGISTRATION, "r").unwrap(), None);
    }

    #[test]
    fn the_wrong_type_names_the_place() {
        let error = read(r#"[{"name": 1}]"#, &CHECKS, "checks").unwrap_err();
        assert_eq!(error, "error deserializing to configSpec: checks[0].Name: 1 is not a text");
        assert!(read("{", &META, "meta").is_err());
    }
}
