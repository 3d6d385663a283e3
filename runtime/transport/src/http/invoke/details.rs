//! A gRPC status as JSON for callers that speak HTTP, details included, in protobuf's JSON form.
//!
//! The details that Google's API guide defines are written out; one of another type is left out, since only its owner knows its fields.

use proa_core::invocation::InvokeResponse;
use prost::Message;
use serde_json::{Map, Value, json};
use tonic_types::pb;

/// What is empty is left out.
pub(super) fn status(response: &InvokeResponse) -> Vec<u8> {
    let mut status = Map::new();
    status.insert("code".to_owned(), response.status.into());
    put(&mut status, "message", &response.message);
    let details: Vec<Value> = response.details.iter().filter_map(|(url, bytes)| detail(url, bytes)).collect();
    if !details.is_empty() {
        status.insert("details".to_owned(), details.into());
    }
    serde_json::to_vec(&status).unwrap_or_default()
}

fn put(object: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), text.into());
    }
}

fn texts(pairs: &[(&str, &str)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, text) in pairs {
        put(&mut object, name, text);
    }
    object
}

/// A list under its name; none when it is empty.
fn list(object: &mut Map<String, Value>, name: &str, items: impl Iterator<Item = Map<String, Value>>) {
    let items: Vec<Value> = items.map(Value::Object).collect();
    if !items.is_empty() {
        object.insert(name.to_owned(), items.into());
    }
}

fn detail(url: &str, bytes: &[u8]) -> Option<Value> {
    let mut object = match url.rsplit('/').next()?.strip_prefix("google.rpc.")? {
        "ErrorInfo" => {
            let info = pb::ErrorInfo::decode(bytes).ok()?;
            let mut object = texts(&[("reason", &info.reason), ("domain", &info.domain)]);
            if !info.metadata.is_empty() {
                object.insert("metadata".to_owned(), json!(info.metadata));
            }
            object
        }
        "ResourceInfo" => {
            let info = pb::ResourceInfo::decode(bytes).ok()?;
            let (kind, name) = (("resourceType", info.resource_type.as_str()), ("resourceName", info.resource_name.as_str()));
            texts(&[kind, name, ("owner", &info.owner), ("description", &info.description)])
        }
        "RequestInfo" => {
            let info = pb::RequestInfo::decode(bytes).ok()?;
            texts(&[("requestId", &info.request_id), ("servingData", &info.serving_data)])
        }
        "LocalizedMessage" => {
            let message = pb::LocalizedMessage::decode(bytes).ok()?;
            texts(&[("locale", &message.locale), ("message", &message.message)])
        }
        "BadRequest" => {
            let request = pb::BadRequest::decode(bytes).ok()?;
            let violations = request.field_violations.iter().map(|v| texts(&[("field", &v.field), ("description", &v.description)]));
            let mut object = Map::new();
            list(&mut object, "fieldViolations", violations);
            object
        }
        "Help" => {
            let help = pb::Help::decode(bytes).ok()?;
            let mut object = Map::new();
            list(&mut object, "links", help.links.iter().map(|l| texts(&[("description", &l.description), ("url", &l.url)])));
            object
        }
        "PreconditionFailure" => {
            let failure = pb::PreconditionFailure::decode(bytes).ok()?;
            let violation =
                |v: &pb::precondition_failure::Violation| texts(&[("type", &v.r#type), ("subject", &v.subject), ("description", &v.description)]);
            let mut object = Map::new();
            list(&mut object, "violations", failure.violations.iter().map(violation));
            object
        }
        "DebugInfo" => {
            let info = pb::DebugInfo::decode(bytes).ok()?;
            let mut object = Map::new();
            if !info.stack_entries.is_empty() {
                object.insert("stackEntries".to_owned(), json!(info.stack_entries));
            }
            put(&mut object, "detail", &info.detail);
            object
        }
        "RetryInfo" => {
            let delay = pb::RetryInfo::decode(bytes).ok()?.retry_delay.unwrap_or_default();
            let fraction = format!("{:09}", delay.nanos.unsigned_abs());
            // In groups of three digits, as protobuf writes them.
            let groups = fraction.trim_end_matches("000");
            let point = if groups.is_empty() { "" } else { "." };
            texts(&[("retryDelay", &format!("{}{point}{groups}s", delay.seconds))])
        }
        _ => return None,
    };
    object.insert("@type".to_owned(), url.into());
    Some(Value::Object(object))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn details_are_written_out() {
        let info = pb::ErrorInfo { reason: "WHY".into(), domain: "d".into(), ..pb::ErrorInfo::default() };
        let url = "type.googleapis.com/google.rpc.ErrorInfo";
        assert_eq!(detail(url, &info.encode_to_vec()).unwrap(), json!({"@type": url, "reason": "WHY", "domain": "d"}));
        let delay = prost_types::Duration { seconds: 1, nanos: 500_000_000 };
        let retry = pb::RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
        assert_eq!(detail("x/google.rpc.RetryInfo", &retry).unwrap()["retryDelay"], "1.500s");
        assert_eq!(detail("x/google.rpc.ErrorInfo", b"\xff"), None, "not readable");
        assert_eq!(detail("x/my.Type", b""), None);
    }
}
