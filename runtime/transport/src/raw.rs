//! Calls of gRPC passed on as they are, message by message, without knowing what they mean.
//!
//! Costs no copy of the data. What fails on the way is a status; a call that is dropped is cancelled on the other side.

use crate::pool::Lease;
use http::{Request, Response};
use http_body_util::BodyExt;
use proa_core::invocation::InvokeError;
use proa_host::middleware::{Body, BoxError};
use proa_model::Grpc;
use tonic::{Code, Status};
use tower::ServiceExt;

/// Sends a request over a connection; the answer's body holds it.
pub(crate) async fn pass(lease: Lease, request: Request<Body>) -> Result<Response<Body>, InvokeError> {
    let request = request.map(|body| tonic::body::Body::new(body.map_err(told)));
    let response = lease.channel().oneshot(request).await.map_err(failed)?;
    Ok(response.map(|body| {
        let frames = body.map_frame(move |frame| {
            let _keep = &lease;
            frame
        });
        frames.map_err(BoxError::from).boxed_unsync()
    }))
}

fn told(error: BoxError) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => Status::cancelled(error.to_string()),
    }
}

fn failed(error: tonic::transport::Error) -> InvokeError {
    let words = reason(&error);
    match Status::from_error(Box::new(error)) {
        // No stream was reset: there was no connection.
        status if status.code() == Code::Unknown => InvokeError::status(Grpc::Unavailable, words),
        status => InvokeError::Status { code: status.code() as i32, message: status.message().to_owned() },
    }
}

/// A failed connection in the words of gRPC for Go.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("connection error: desc = \"transport: Error while dialing: {cause}\"")
}
