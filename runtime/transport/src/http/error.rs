//! Errors as JSON: code, message and, for those with a reason, the details in Dapr's order. Each is counted here.

use super::reply::{self, Reply};
use http::StatusCode;
use proa_core::Metrics;
use proa_model::Error;
use serde::Serialize;
use std::collections::BTreeMap;

const PREFIX: &str = "type.googleapis.com/google.rpc.";

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
}

/// Fields in alphabetical order, as Go writes maps.
#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Info {
        #[serde(rename = "@type")]
        kind: String,
        domain: &'a str,
        /// Null when there is none.
        metadata: Option<&'a BTreeMap<String, String>>,
        reason: &'a str,
    },
    Resource {
        #[serde(rename = "@type")]
        kind: String,
        description: &'a str,
        owner: &'a str,
        resource_name: &'a str,
        resource_type: &'a str,
    },
    Help {
        #[serde(rename = "@type")]
        kind: String,
        links: Vec<Link<'a>>,
    },
    BadRequest {
        #[serde(rename = "@type")]
        kind: String,
        field_violations: Vec<Field<'a>>,
    },
}

#[derive(Serialize)]
struct Link<'a> {
    description: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct Field<'a> {
    field: &'a str,
    description: &'a str,
}

/// The answer to a request that failed.
pub fn render(metrics: &Metrics, error: &Error) -> Reply {
    metrics.error_code(&error.code, error.category);
    tracing::debug!(target: "dapr.runtime.http", "{}", error.message);
    let status = StatusCode::from_u16(error.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply::data(status, body(error).into())
}

fn body(error: &Error) -> Vec<u8> {
    super::json::encode(&Envelope { code: &error.code, message: &error.message, details: details(error) })
}

fn details(error: &Error) -> Vec<Detail<'_>> {
    let Some(reason) = error.reason.as_deref() else { return Vec::new() };
    let kind = |name| format!("{PREFIX}{name}");
    let metadata = (!error.metadata.is_empty()).then_some(&error.metadata);
    let mut details = vec![Detail::Info { kind: kind("ErrorInfo"), domain: error.domain.as_deref().unwrap_or("dapr.io"), metadata, reason }];
    if let Some(resource) = &error.resource {
        details.push(Detail::Resource {
            kind: kind("ResourceInfo"),
            description: &resource.description,
            owner: &resource.owner,
            resource_name: &resource.resource_name,
            resource_type: &resource.resource_type,
        });
    }
    if !error.help.is_empty() {
        let links = error.help.iter().map(|l| Link { description: &l.description, url: &l.url }).collect();
        details.push(Detail::Help { kind: kind("Help"), links });
    }
    if !error.violations.is_empty() {
        let field_violations = error.violations.iter().map(|v| Field { field: &v.field, description: &v.description }).collect();
        details.push(Detail::BadRequest { kind: kind("BadRequest"), field_violations });
    }
    details
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn details_follow_a_reason_in_order() {
        let text = String::from_utf8(body(&proa_model::error::state::illegal_key("s", "a||<b"))).unwrap();
        assert_eq!(
            text,
            r#"{"errorCode":"ERR_MALFORMED_REQUEST","message":"input key/keyPrefix 'a||\u003cb' can't contain '||'","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_ILLEGAL_KEY"},{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"a||\u003cb","description":"input key/keyPrefix 'a||\u003cb' can't contain '||'"}]}]}"#
        );
        let plain = String::from_utf8(body(&proa_model::error::invoke::no_target())).unwrap();
        assert!(plain.ends_with(r#"dapr-app-id"}"#) && !plain.contains("details"), "{plain}");
    }
}
