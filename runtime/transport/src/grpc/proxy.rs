//! Services that the sidecar does not know, passed on to the application that the call's metadata name: to another sidecar, or to the
//! application of this one. All kinds of streams; messages are not looked at, except for their length.
//!
//! The callee's access control list decides before its application sees anything. A connection that cannot be made is tried once more, while
//! nothing of the request has been read. Failures have Dapr's texts.

mod frames;

use super::answer::{self, Answer};
use super::call::Call;
use super::entry::Known;
use frames::{Fault, Outward, Record, Source};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use proa_core::Runtime;
use proa_core::access::Called;
use proa_core::invocation::{InvokeError, Peer};
use proa_core::metrics::CallShape;
use proa_core::resiliency::Stopped;
use proa_core::services::invoke::{self, Place};
use proa_host::middleware::Body;
use proa_model::Grpc;
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
    let mut record = record(runtime, &parts.headers);
    match forward(runtime, known, &parts, &source).await {
        Ok(response) => {
            // An answer without messages has its status in front.
            if let Some(code) = answer::status(response.headers())
                && let Some(record) = record.take()
            {
                record.end(code);
            }
            let response = response.map(|body| tonic::body::Body::new(Outward::new(body, limit, fault, record)));
            answer::passed(response, call)
        }
        Err(status) => {
            let status = fault.take().unwrap_or(status);
            if let Some(record) = record {
                record.end(status.code());
            }
            answer::finish(status.into_http(), call)
        }
    }
}

/// Whether the metadata say who is meant.
pub(super) fn names_a_target(headers: &HeaderMap) -> bool {
    headers.contains_key(&CALLEE) || headers.contains_key(&APP_ID)
}

/// Counts a call of the application's; one that comes from another sidecar was counted there.
fn record(runtime: &Arc<Runtime>, headers: &HeaderMap) -> Option<Record> {
    let destination = first(headers, &APP_ID).filter(|app_id| !app_id.is_empty())?;
    let streams = first(headers, &STREAM).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "y" | "yes" | "t" | "true" | "on"));
    let shape = if streams { CallShape::Streaming } else { CallShape::Unary };
    Some(Record::begin(runtime.metrics().clone(), destination.to_owned(), shape))
}

fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

async fn forward(runtime: &Arc<Runtime>, known: &Known, parts: &Parts, source: &Source) -> Result<Response<Body>, Status> {
    let target = first(&parts.headers, &CALLEE).or_else(|| first(&parts.headers, &APP_ID));
    let target = target
        .ok_or_else(|| Status::unknown(format!("failed to proxy request: required metadata {} or {} not found", CALLEE.as_str(), APP_ID.as_str())))?;
    let place = invoke::locate(runtime, target).await.map_err(status)?;
    let mut headers = parts.headers.clone();
    headers.remove(&APP_ID);
    crate::trace::put_proxied(&mut headers);
    match place {
        Place::Own => {
            permit(runtime, known, parts.uri.path())?;
            headers.remove(&TOKEN);
            let app = runtime.app().ok_or_else(|| Status::unavailable("app channel is not initialized"))?;
            app.proxy(source.request(parts, headers)).await.map_err(status)
        }
        Place::Peer(peer) => {
            invoke::stamp_proxied(&mut headers, runtime, &peer);
            to_peer(runtime, &peer, parts, headers, source).await.map_err(status)
        }
    }
}

async fn to_peer(runtime: &Arc<Runtime>, peer: &Peer, parts: &Parts, headers: HeaderMap, source: &Source) -> Result<Response<Body>, InvokeError> {
    let answer = invoke::proxy(runtime, peer, source.request(parts, headers.clone())).await;
    match answer {
        Err(error) if error.is(Grpc::Unavailable) && !source.touched() => invoke::proxy(runtime, peer, source.request(parts, headers)).await,
        answer => answer,
    }
}

fn permit(runtime: &Runtime, known: &Known, path: &str) -> Result<(), Status> {
    let operation = invoke::normalise(path).map_err(|why| Status::invalid_argument(format!("invalid method: {why}")))?;
    known.permit(runtime, Called { operation: &operation, verb: "" })
}

/// Go's errors without a code are `Unknown`.
fn status(error: InvokeError) -> Status {
    match error {
        InvokeError::Plain(text) => Status::unknown(text),
        InvokeError::Stopped(Stopped::Timeout) => Status::deadline_exceeded(error.to_string()),
        InvokeError::Stopped(_) => Status::unknown(error.to_string()),
        InvokeError::Status { code, message } => Status::new(Code::from_i32(code), message),
    }
}
