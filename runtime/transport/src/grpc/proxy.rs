//! Services that the sidecar does not know, passed on to the application that the call's metadata name: to another sidecar, or to the
//! application of this one. All kinds of streams; messages are not looked at, except for their length.
//!
//! The callee's access control list decides before its application sees anything. Calls of other sidecars run under the policies for the
//! application; this sidecar's own application is called once, as in Dapr. Failures have Dapr's texts.

mod attempts;
mod frames;
mod source;

use super::answer::{self, Answer};
use super::call::Call;
use super::entry::Known;
use attempts::{Answered, Calling};
use frames::{Fault, Outward};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use proa_core::Runtime;
use proa_core::access::Called;
use proa_core::invocation::InvokeError;
use proa_core::metrics::CallShape;
use proa_core::resiliency::Stopped;
use proa_core::services::invoke::{self, Place};
use source::Source;
use std::sync::Arc;
use tonic::{Code, Status};

const APP_ID: HeaderName = HeaderName::from_static("dapr-app-id");
const CALLEE: HeaderName = HeaderName::from_static("dapr-callee-app-id");
const STREAM: HeaderName = HeaderName::from_static("dapr-stream");
const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");

/// Passes a call on.
pub(super) async fn pass(runtime: &Arc<Runtime>, known: &Known, request: Request<Incoming>, call: Call) -> Response<Answer> {
    let limit = runtime.options().max_body_size;
    let fault = Fault::default();
    let (parts, body) = request.into_parts();
    let source = Source::new(body, limit, fault.clone());
    match forward(runtime, known, &parts, &source).await {
        Ok(Answered { response, record, deadline }) => {
            let response = response.map(|body| tonic::body::Body::new(Outward::new(body, limit, fault, record, deadline)));
            answer::passed(response, call)
        }
        Err(status) => answer::finish(fault.take().unwrap_or(status).into_http(), call),
    }
}

/// Whether the metadata say who is meant.
pub(super) fn names_a_target(headers: &HeaderMap) -> bool {
    headers.contains_key(&CALLEE) || headers.contains_key(&APP_ID)
}

/// Whether the call says that it streams; nothing else tells.
fn shape(headers: &HeaderMap) -> CallShape {
    let streams = first(headers, &STREAM).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on"));
    if streams { CallShape::Streaming } else { CallShape::Unary }
}

fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

async fn forward(runtime: &Arc<Runtime>, known: &Known, parts: &Parts, source: &Source) -> Result<Answered, Status> {
    let target = first(&parts.headers, &CALLEE).or_else(|| first(&parts.headers, &APP_ID));
    let target = target
        .ok_or_else(|| Status::unknown(format!("failed to proxy request: required metadata {} or {} not found", CALLEE.as_str(), APP_ID.as_str())))?;
    let place = invoke::locate(runtime, target).await.map_err(status)?;
    let mut headers = parts.headers.clone();
    headers.remove(&APP_ID);
    crate::trace::put_proxied(&mut headers);
    let shape = shape(&parts.headers);
    match place {
        Place::Own => {
            permit(runtime, known, parts.uri.path())?;
            headers.remove(&TOKEN);
            let app = runtime.app().ok_or_else(|| Status::unavailable("app channel is not initialized"))?;
            let record = attempts::record(runtime, &parts.headers, shape, None);
            match app.proxy(source.request(parts, headers)).await {
                Ok(response) => Ok(Answered::new(response, record, None)),
                Err(error) => Err(status(attempts::ended(error, record))),
            }
        }
        Place::Peer(peer) => Calling { runtime, parts, headers, source, shape }.run(peer).await.map_err(status),
    }
}

fn permit(runtime: &Runtime, known: &Known, path: &str) -> Result<(), Status> {
    let operation = invoke::normalise(path).map_err(|why| Status::invalid_argument(format!("invalid method: {why}")))?;
    known.permit(runtime, Called { operation: &operation, verb: "" })
}

/// Go's errors without a code are `Unknown`.
pub(super) fn status(error: InvokeError) -> Status {
    let code = code(&error);
    match error {
        InvokeError::Status { message, .. } => Status::new(code, message),
        other => Status::new(code, other.to_string()),
    }
}

fn code(error: &InvokeError) -> Code {
    match error {
        InvokeError::Stopped(Stopped::Timeout) => Code::DeadlineExceeded,
        InvokeError::Plain(_) | InvokeError::Stopped(_) => Code::Unknown,
        InvokeError::Status { code, .. } => Code::from_i32(*code),
    }
}
