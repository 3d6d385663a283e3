//! What a component's failure means: a status of the protocol, with or without details that say more.

use proa_host::CallError;
use proa_host::remote::Status;
use proa_model::error::Grpc;
use std::sync::Arc;
use tonic_types::{ErrorDetail, ErrorInfo, StatusExt};

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The component answered with this status.
    Answered(tonic::Status),
    /// It did not answer.
    Call(CallError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answered(status) => Self::Status(Arc::new(read(&status))),
            Failure::Call(error) => error,
        }
    }
}

/// A failure in Dapr's words for one.
pub fn told(code: Grpc, message: &str) -> CallError {
    CallError::Status(Arc::new(Status { code, message: message.to_owned(), api: None }))
}

/// A status as messages quote it.
pub fn text(status: &tonic::Status) -> String {
    read(status).to_string()
}

fn read(status: &tonic::Status) -> Status {
    let code = Grpc::of(status.code() as i32);
    Status { code, message: status.message().to_owned(), api: api(code, status) }
}

/// The only detail, if there is one.
pub fn only_detail(status: &tonic::Status) -> Option<ErrorDetail> {
    let mut details = status.check_error_details_vec().ok()?;
    let detail = details.pop()?;
    details.is_empty().then_some(detail)
}

/// A failure that is marked as meant for the application carries the HTTP status and the code that the application is to see.
fn api(code: Grpc, status: &tonic::Status) -> Option<proa_model::Error> {
    let Some(ErrorDetail::ErrorInfo(ErrorInfo { reason, domain, metadata })) = only_detail(status) else { return None };
    if metadata.get("kit_error").is_none_or(|mark| mark != "true") {
        return None;
    }
    let http = metadata.get("http_code")?.parse().ok()?;
    let tag = metadata.get("tag").cloned().unwrap_or_default();
    let mut error = proa_model::Error::plain("pluggable-component", "", http, code, status.message());
    error.code = tag.into();
    error.reason = Some(reason.into());
    error.domain = Some(domain);
    Some(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic::Code;
    use tonic_types::BadRequest;

    fn info(mark: &str) -> ErrorDetail {
        let metadata = [("kit_error", mark), ("http_code", "506"), ("tag", "TAG")];
        ErrorInfo::new("why", "there", metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect::<HashMap<_, _>>()).into()
    }

    #[test]
    fn a_marked_failure_is_the_applications_own() {
        let read = read(&tonic::Status::with_error_details_vec(Code::DataLoss, "lost", vec![info("true")]));
        assert_eq!(read.to_string(), "api error: code = DataLoss desc = lost");
        let api = read.api.unwrap();
        assert_eq!((api.http, api.grpc, api.code.as_ref()), (506, Grpc::DataLoss, "TAG"));
        assert_eq!((api.reason.as_deref(), api.domain.as_deref()), (Some("why"), Some("there")));
    }

    #[test]
    fn any_other_failure_is_quoted() {
        let unmarked = tonic::Status::with_error_details_vec(Code::Cancelled, "off", vec![info("no")]);
        let two = tonic::Status::with_error_details_vec(Code::Internal, "both", vec![info("true"), BadRequest::new(Vec::new()).into()]);
        for (status, words) in [(unmarked, "rpc error: code = Canceled desc = off"), (two, "rpc error: code = Internal desc = both")] {
            assert_eq!(text(&status), words);
        }
    }
}
