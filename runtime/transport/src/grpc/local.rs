//! A call from another sidecar, handed to the application behind this one.
//!
//! Bodies pass piece by piece, numbered without a hole; memory stays bounded. A caller that goes away ends the call to the application.

use super::entry::Known;
use crate::body;
use crate::invocation::{body as stream_body, from_map, pieces, to_map};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use proa_core::access::Called;
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse};
use proa_core::services::invoke::normalise;
use proa_core::{Runtime, Transport};
use proa_host::middleware::BoxError;
use proa_model::Grpc;
use proa_protocol::common::v1::{InvokeResponse as Message, StreamPayload, http_extension::Verb};
use proa_protocol::internals::v1 as internals;
use proa_protocol::internals::v1::{InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponse, InternalInvokeResponseStream};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status, Streaming};

const NO_CHANNEL: &str = "app channel is not initialized";
const UNWELL: &str = "app is not in a healthy state";
const CALLER: &str = "dapr-caller-app-id";
/// How long the first message may take.
const FIRST: Duration = Duration::from_secs(30);
/// How long a body of unknown length may take to show that it is empty; an application should not be told of a body that is none.
const PROBE: Duration = Duration::from_millis(200);

/// The whole request in one message, the whole answer in another.
pub(super) async fn unary(runtime: &Arc<Runtime>, known: &Known, mut request: InternalInvokeRequest) -> Result<InternalInvokeResponse, Status> {
    let data = request.message.as_mut().and_then(|m| m.data.as_mut()).map(|d| std::mem::take(&mut d.value)).unwrap_or_default();
    let response = call(runtime, known, request, InvokeBody::Full(data.into())).await?;
    let (mut head, body) = head(response);
    let bytes = match body {
        InvokeBody::Full(bytes) => bytes,
        InvokeBody::Stream(body) => {
            let read = body::read(body, runtime.options().max_body_size).await;
            read.map_err(|e| Status::internal(format!("error invoking app channel: failed to read response body: {e}")))?
        }
    };
    if let Some(message) = &mut head.message {
        message.data.get_or_insert_default().value = bytes.to_vec();
    }
    Ok(head)
}

/// The request and the answer in pieces.
pub(super) async fn streamed(
    runtime: &Arc<Runtime>,
    known: &Known,
    mut requests: Streaming<InternalInvokeRequestStream>,
) -> Result<BoxStream<'static, Result<InternalInvokeResponseStream, Status>>, Status> {
    let invalid = |why: &str| Status::invalid_argument(format!("parsing InternalInvokeRequest error: {why}"));
    let first = tokio::time::timeout(FIRST, requests.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no request was sent"))??.ok_or_else(|| Status::cancelled("EOF"))?;
    let missing = || invalid("request does not contain the required fields in the leading chunk");
    let request = first.request.filter(|r| r.message.is_some() && !r.metadata.is_empty()).ok_or_else(missing)?;
    let body = request_body(length(&request), first.payload, requests).await;
    let wants_events = wants_events(&request);
    let response = call(runtime, known, request, body).await?;
    if wants_events && response.is_http() && !(200..300).contains(&response.status) {
        // Whoever asked for events could not tell an error page from one.
        return Err(Status::internal("error invoking app channel: no response received from stream"));
    }
    let (head, body) = head(response);
    let leading = InternalInvokeResponseStream { response: Some(head), payload: None };
    let rest = pieces(body).enumerate().map(|(seq, piece)| {
        let data = piece.map_err(|error| Status::internal(format!("error invoking app channel: {error}")))?;
        Ok(InternalInvokeResponseStream { response: None, payload: Some(StreamPayload { data, seq: seq as u64 }) })
    });
    Ok(Box::pin(stream::once(async { Ok(leading) }).chain(rest)))
}

/// Whether the caller waits for server-sent events.
fn wants_events(request: &InternalInvokeRequest) -> bool {
    let accept = request.metadata.iter().find(|(name, _)| name.eq_ignore_ascii_case("accept"));
    accept.and_then(|(_, list)| list.values.first()).is_some_and(|value| value.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The length that the original request had, where it said so.
fn length(request: &InternalInvokeRequest) -> Option<u64> {
    let header = request.metadata.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    header.1.values.first()?.parse().ok()
}

async fn request_body(length: Option<u64>, first: Option<StreamPayload>, mut requests: Streaming<InternalInvokeRequestStream>) -> InvokeBody {
    let first = first.filter(|p| !p.data.is_empty());
    match &first {
        Some(payload) if payload.seq == 0 && length == Some(payload.data.len() as u64) => return InvokeBody::Full(payload.data.clone()),
        None if length == Some(0) => return InvokeBody::Full(Bytes::new()),
        _ => {}
    }
    let mut reading = Reading { pending: first, seq: 0, done: false, held: None };
    if reading.pending.is_none() {
        match tokio::time::timeout(PROBE, requests.message()).await {
            Ok(Ok(None)) => return InvokeBody::Full(Bytes::new()),
            Ok(message) => reading.held = message.transpose(),
            Err(_) => {}
        }
    }
    InvokeBody::Stream(stream_body(stream::unfold((reading, requests), step)))
}

struct Reading {
    pending: Option<StreamPayload>,
    seq: u64,
    done: bool,
    /// A message that was read ahead.
    held: Option<Result<InternalInvokeRequestStream, Status>>,
}

type State = (Reading, Streaming<InternalInvokeRequestStream>);

async fn step((mut reading, mut requests): State) -> Option<(Result<Bytes, BoxError>, State)> {
    if reading.done {
        return None;
    }
    loop {
        if let Some(payload) = reading.pending.take() {
            if payload.seq != reading.seq {
                reading.done = true;
                let text = format!("invalid sequence number received: {} (expected: {})", payload.seq, reading.seq);
                return Some((Err(text.into()), (reading, requests)));
            }
            reading.seq += 1;
            if !payload.data.is_empty() {
                return Some((Ok(payload.data), (reading, requests)));
            }
        }
        let next = match reading.held.take() {
            Some(held) => held.map(Some),
            None => requests.message().await,
        };
        let failed: BoxError = match next {
            Ok(None) => return None,
            Ok(Some(message)) if message.request.is_some() => "request metadata found in non-leading chunk".into(),
            Ok(Some(message)) => {
                reading.pending = message.payload;
                continue;
            }
            Err(status) => format!("error receiving message: {}", super::error::printed(&status)).into(),
        };
        reading.done = true;
        return Some((Err(failed), (reading, requests)));
    }
}

async fn call(runtime: &Arc<Runtime>, known: &Known, request: InternalInvokeRequest, body: InvokeBody) -> Result<InvokeResponse, Status> {
    let app = runtime.app().ok_or_else(|| Status::internal(NO_CHANNEL))?;
    let message = request.message.ok_or_else(|| Status::invalid_argument("parsing InternalInvokeRequest error: Message is nil"))?;
    let method = normalise(&message.method).map_err(|why| Status::invalid_argument(format!("invalid method: {why}")))?;
    super::describe::local(&runtime.options().app_id, &method);
    let (headers, origin) = from_map(request.metadata);
    let caller = headers.get(CALLER).and_then(|v| v.to_str().ok()).unwrap_or("unknown").to_owned();
    let extension = message.http_extension.unwrap_or_default();
    let request = InvokeRequest {
        method,
        verb: verb(extension.verb),
        query: extension.querystring,
        content_type: message.content_type,
        type_url: message.data.map(|d| d.type_url).unwrap_or_default(),
        headers,
        origin,
        body,
    };
    known.permit(runtime, Called { operation: &request.method, verb: &request.verb })?;
    runtime.metrics().invoke_request_received(&caller);
    let answer = if runtime.app_is_well() { app.invoke(request).await } else { Err(InvokeError::status(Grpc::Internal, UNWELL)) };
    let status = answer.as_ref().map_or(Code::Internal as i32, |response| response.status);
    runtime.metrics().invoke_response_sent(&caller, status);
    answer.map_err(|error: InvokeError| Status::internal(format!("error invoking app channel: {error}")))
}

/// An answer without its data.
fn head(response: InvokeResponse) -> (InternalInvokeResponse, InvokeBody) {
    let origin = if response.is_http() { Transport::Http } else { Transport::Grpc };
    let details = response.details.into_iter().map(|(type_url, value)| prost_types::Any { type_url, value });
    let head = InternalInvokeResponse {
        status: Some(internals::Status { code: response.status, message: response.message, details: details.collect() }),
        headers: to_map(&response.headers, origin),
        trailers: to_map(&response.trailers, origin),
        message: Some(Message {
            data: Some(prost_types::Any { type_url: response.type_url, value: Vec::new() }),
            content_type: response.content_type,
        }),
    };
    (head, response.body)
}

/// The name of a verb; empty when there is none.
pub(super) fn verb(extension: i32) -> String {
    Verb::try_from(extension).ok().filter(|v| *v != Verb::None).map(|v| v.as_str_name().to_owned()).unwrap_or_default()
}
