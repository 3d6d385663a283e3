//! An error of the API, the same whichever transport brought it.

use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use super::Pairs;
use crate::http::Reply;

/// A failed call. Fields that a transport does not have are empty: `http_status` and `error_code` over gRPC, `code` over HTTP.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub http_status: u16,
    pub code: Option<Code>,
    /// `ERR_…`, from the JSON envelope.
    pub error_code: String,
    pub message: String,
    pub details: Vec<Detail>,
}

/// One entry of `details`, of the four kinds in use.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    ErrorInfo { reason: String, domain: String, metadata: Pairs },
    ResourceInfo { kind: String, name: String, owner: String, description: String },
    Help { links: Vec<String> },
    BadRequest { violations: Vec<(String, String)> },
}

impl ApiError {
    pub(crate) fn from_reply(reply: &Reply) -> Self {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let details = body.get("details").and_then(Value::as_array).into_iter().flatten().filter_map(detail_from_json).collect();
        let message = if body.is_object() { text("message") } else { reply.text() };
        Self { http_status: reply.status, code: None, error_code: text("errorCode"), message, details }
    }

    /// Panics unless the error has `http` (HTTP) or `grpc` (gRPC) as its status and, over HTTP, `error_code`.
    #[track_caller]
    pub fn expect(&self, http: u16, grpc: Code, error_code: &str) -> &Self {
        match self.code {
            Some(code) => assert_eq!(code, grpc, "{self:?}"),
            None => assert_eq!((self.http_status, self.error_code.as_str()), (http, error_code), "{self:?}"),
        }
        self
    }

    /// Panics unless the message holds `part`.
    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        assert!(self.message.contains(part), "no {part:?} in {self:?}");
        self
    }

    /// Panics unless there is an ErrorInfo of `reason` in Dapr's domain.
    #[track_caller]
    pub fn reason(&self, wanted: &str) -> &Self {
        let found = self.details.iter().any(|detail| match detail {
            Detail::ErrorInfo { reason, domain, .. } => reason == wanted && domain == "dapr.io",
            _ => false,
        });
        assert!(found, "no reason {wanted:?} in {self:?}");
        self
    }

    /// Panics unless the ErrorInfo carries `name` = `value`.
    #[track_caller]
    pub fn info(&self, name: &str, value: &str) -> &Self {
        let found = self.details.iter().any(|detail| match detail {
            Detail::ErrorInfo { metadata, .. } => metadata.get(name).is_some_and(|found| found == value),
            _ => false,
        });
        assert!(found, "no {name}={value} in {self:?}");
        self
    }

    /// Panics unless there is a ResourceInfo about the resource `name` of `kind`.
    #[track_caller]
    pub fn about(&self, kind: &str, name: &str) -> &Self {
        let found = self.details.iter().any(|detail| match detail {
            Detail::ResourceInfo { kind: has, name: called, .. } => has == kind && called == name,
            _ => false,
        });
        assert!(found, "no resource {kind}/{name} in {self:?}");
        self
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        let details = status.get_error_details();
        let mut list = Vec::new();
        if let Some(info) = details.error_info() {
            list.push(Detail::ErrorInfo {
                reason: info.reason.clone(),
                domain: info.domain.clone(),
                metadata: info.metadata.clone().into_iter().collect(),
            });
        }
        if let Some(info) = details.resource_info() {
            list.push(Detail::ResourceInfo {
                kind: info.resource_type.clone(),
                name: info.resource_name.clone(),
                owner: info.owner.clone(),
                description: info.description.clone(),
            });
        }
        if let Some(help) = details.help() {
            list.push(Detail::Help { links: help.links.iter().map(|link| link.url.clone()).collect() });
        }
        if let Some(bad) = details.bad_request() {
            let violations = bad.field_violations.iter().map(|one| (one.field.clone(), one.description.clone())).collect();
            list.push(Detail::BadRequest { violations });
        }
        Self { http_status: 0, code: Some(status.code()), error_code: String::new(), message: status.message().to_owned(), details: list }
    }
}

fn detail_from_json(value: &Value) -> Option<Detail> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = text(value, "@type");
    match kind.rsplit('.').next()? {
        "ErrorInfo" => {
            let metadata = value.get("metadata").and_then(Value::as_object).into_iter().flatten();
            let metadata = metadata.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
            Some(Detail::ErrorInfo { reason: text(value, "reason"), domain: text(value, "domain"), metadata })
        }
        "ResourceInfo" => Some(Detail::ResourceInfo {
            kind: text(value, "resource_type"),
            name: text(value, "resource_name"),
            owner: text(value, "owner"),
            description: text(value, "description"),
        }),
        "Help" => Some(Detail::Help { links: list("links").iter().map(|link| text(link, "url")).collect() }),
        "BadRequest" => Some(Detail::BadRequest {
            violations: list("field_violations").iter().map(|one| (text(one, "field"), text(one, "description"))).collect(),
        }),
        other => panic!("unknown detail {other:?}"),
    }
}
