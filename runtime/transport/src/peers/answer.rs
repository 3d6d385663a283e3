//! The answer of a peer, message by message.

use super::failure;
use crate::invocation::{body, from_map};
use crate::pool::Lease;
use bytes::Bytes;
use futures::stream;
use proa_core::invocation::{InvokeBody, InvokeError, InvokeResponse};
use proa_host::middleware::BoxError;
use proa_protocol::common::v1::StreamPayload;
use proa_protocol::internals::v1::{InternalInvokeResponse, InternalInvokeResponseStream};
use tokio::sync::oneshot;
use tonic::Streaming;

/// Tells when the request broke while its answer is read.
pub(super) struct Guarded(Option<oneshot::Receiver<String>>);

impl Guarded {
    pub(super) fn new(breaks: oneshot::Receiver<String>) -> Self {
        Self(Some(breaks))
    }

    /// Resolves when the request broke; never when it ended well.
    pub(super) async fn broken(&mut self) -> String {
        if let Some(breaks) = &mut self.0 {
            if let Ok(why) = breaks.await {
                self.0 = None;
                return why;
            }
            self.0 = None;
        }
        futures::future::pending().await
    }
}

/// What is left of an answer.
struct Rest {
    stream: Streaming<InternalInvokeResponseStream>,
    guard: Guarded,
    /// The connection counts as used until the answer is read.
    _lease: Lease,
    payload: Option<StreamPayload>,
    seq: u64,
    done: bool,
}

/// Reads the head; the body follows as it comes.
pub(super) async fn response(
    mut stream: Streaming<InternalInvokeResponseStream>,
    mut guard: Guarded,
    lease: Lease,
) -> Result<InvokeResponse, InvokeError> {
    let first = tokio::select! {
        first = stream.message() => first.map_err(|status| failure(&status))?,
        why = guard.broken() => return Err(InvokeError::Plain(why)),
    };
    let incomplete = || InvokeError::Plain("response does not contain the required fields in the leading chunk".into());
    let first = first.ok_or_else(|| InvokeError::Plain("EOF".into()))?;
    let head = first.response.filter(|r| r.status.is_some()).ok_or_else(incomplete)?;
    let rest = Rest { stream, guard, _lease: lease, payload: first.payload, seq: 0, done: false };
    Ok(InvokeResponse { body: InvokeBody::Stream(body(stream::unfold(rest, step))), ..unary(head) })
}

async fn step(mut rest: Rest) -> Option<(Result<Bytes, BoxError>, Rest)> {
    if rest.done {
        return None;
    }
    loop {
        if let Some(payload) = rest.payload.take() {
            if payload.seq != rest.seq {
                rest.done = true;
                let text = format!("invalid sequence number received: {} (expected: {})", payload.seq, rest.seq);
                return Some((Err(text.into()), rest));
            }
            rest.seq += 1;
            if !payload.data.is_empty() {
                return Some((Ok(payload.data), rest));
            }
        }
        let next = tokio::select! {
            next = rest.stream.message() => next,
            why = rest.guard.broken() => Err(tonic::Status::cancelled(why)),
        };
        let failed: BoxError = match next {
            Ok(None) => return None,
            Ok(Some(message)) if message.response.is_some() => "response metadata found in non-leading chunk".into(),
            Ok(Some(message)) => {
                rest.payload = message.payload;
                continue;
            }
            Err(status) => format!("error receiving message: {}", failure(&status)).into(),
        };
        rest.done = true;
        return Some((Err(failed), rest));
    }
}

/// An answer in one message.
pub(super) fn unary(answer: InternalInvokeResponse) -> InvokeResponse {
    let status = answer.status.unwrap_or_default();
    let message = answer.message.unwrap_or_default();
    let data = message.data.unwrap_or_default();
    InvokeResponse {
        status: status.code,
        message: status.message,
        details: status.details.into_iter().map(|any| (any.type_url, any.value)).collect(),
        headers: from_map(answer.headers).0,
        trailers: from_map(answer.trailers).0,
        content_type: message.content_type,
        type_url: data.type_url,
        body: InvokeBody::Full(data.value.into()),
    }
}
