//! A failure as a gRPC status: code, text, and the details that Dapr attaches (`google.rpc.ErrorInfo` and its siblings).
//!
//! This is where a failure over gRPC is logged and counted, once.

use proa_core::Metrics;
use proa_model::Error;
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, Help, HelpLink, ResourceInfo, StatusExt};

/// The domain of every `ErrorInfo` that does not say otherwise.
const DOMAIN: &str = "dapr.io";
/// The longest text of an HTTP error that fits into the metadata of an `ErrorInfo`.
const HTTP_DETAIL_MAX: usize = 63;
/// Reasons that come without the app id over gRPC, unlike over HTTP.
const WITHOUT_APP: &[&str] = &[
    "DAPR_STATE_NOT_FOUND",
    "DAPR_STATE_NOT_CONFIGURED",
    "DAPR_PUBSUB_NOT_FOUND",
    "DAPR_PUBSUB_NOT_CONFIGURED",
    "DAPR_PUBSUB_NAME_EMPTY",
    "DAPR_PUBSUB_TOPIC_NAME_EMPTY",
];

/// Blocks whose errors carry their code as the reason over gRPC, though they have no details over HTTP.
const PLAIN: &[&str] = &["state", "binding", "configuration"];

/// Renders a failure, logs it and counts its code.
pub(super) fn failed(metrics: &Metrics, error: &Error) -> Status {
    metrics.error_code(&error.code, error.category);
    let status = status(error);
    tracing::debug!(target: "dapr.runtime.grpc.api", "api error: code = {} desc = {}", name(status.code()), error.message);
    status
}

/// The status of a failure.
pub fn status(error: &Error) -> Status {
    let code = Code::from_i32(error.grpc as i32);
    let details = details(error);
    if details.is_empty() {
        return Status::new(code, error.message.as_str());
    }
    Status::with_error_details_vec(code, error.message.as_str(), details)
}

fn details(error: &Error) -> Vec<ErrorDetail> {
    let mut details = Vec::new();
    if !error.violations.is_empty() {
        let violations: Vec<_> = error.violations.iter().map(|v| FieldViolation::new(&v.field, &v.description)).collect();
        details.push(BadRequest::new(violations).into());
    }
    if !error.help.is_empty() {
        let links: Vec<_> = error.help.iter().map(|link| HelpLink::new(&link.description, &link.url)).collect();
        details.push(Help::new(links).into());
    }
    if let Some(r) = &error.resource {
        details.push(ResourceInfo::new(&r.resource_type, &r.resource_name, &r.owner, &r.description).into());
    }
    if error.reason.is_none() && PLAIN.contains(&error.category) {
        details.push(ErrorInfo::new(error.code.as_ref(), DOMAIN, HashMap::new()).into());
    }
    if let Some(reason) = &error.reason {
        let named = !WITHOUT_APP.contains(&reason.as_ref());
        let metadata: HashMap<String, String> = error.metadata.iter().filter(|_| named).map(|(k, v)| (k.clone(), v.clone())).collect();
        details.push(ErrorInfo::new(reason.as_ref(), error.domain.as_deref().unwrap_or(DOMAIN), metadata).into());
    }
    details
}

/// A refusal that Dapr states as an HTTP status: the status text is the message, the explanation is a detail.
pub(super) fn refused(http: u16, why: &str) -> Status {
    let (code, text) = match http {
        401 => (Code::Unauthenticated, "Unauthorized"),
        501 => (Code::Unimplemented, "Not Implemented"),
        _ => (Code::Unknown, "Internal Server Error"),
    };
    let why: String = why.chars().take(HTTP_DETAIL_MAX).collect();
    let metadata = HashMap::from([("http.code".to_owned(), http.to_string()), ("http.error_message".to_owned(), why)]);
    Status::with_error_details_vec(code, text, vec![ErrorInfo::new(text, DOMAIN, metadata).into()])
}

/// What an API that is not built in answers.
pub(super) fn unimplemented() -> Error {
    proa_model::error::common::unimplemented("this API is currently not implemented")
}

/// The name of a code as gRPC for Go writes it, which metrics and logs use.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// A status as gRPC for Go prints it, for texts that quote one.
pub(crate) fn printed(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", name(status.code()), status.message())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proa_model::error::state;

    #[test]
    fn details_follow_the_error() {
        let plain = status(&proa_model::error::secret::not_configured());
        assert_eq!(plain.code(), Code::FailedPrecondition);
        assert!(plain.details().is_empty());

        let rich = status(&state::illegal_key("mystore", "a||b"));
        assert_eq!(rich.code(), Code::InvalidArgument);
        assert_eq!(rich.message(), "input key/keyPrefix 'a||b' can't contain '||'");
        let details = rich.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "DAPR_STATE_ILLEGAL_KEY");
        assert_eq!(details.error_info().unwrap().domain, "dapr.io");
        assert!(details.error_info().unwrap().metadata.is_empty());
        assert_eq!(details.resource_info().unwrap().resource_name, "mystore");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "a||b");

        assert!(status(&state::not_found("s", "app")).get_error_details().error_info().unwrap().metadata.is_empty());
        let many = status(&state::too_many_operations("s", 2, 1));
        assert_eq!(many.get_error_details().error_info().unwrap().metadata["maxOpsPerTransaction"], "1");
    }

    #[test]
    fn a_refusal_keeps_the_explanation_in_a_detail() {
        let status = refused(501, "requested endpoint is not available");
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, "Not Implemented"));
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["http.error_message"], "requested endpoint is not available");
        assert_eq!(details.error_info().unwrap().metadata["http.code"], "501");
    }
}
