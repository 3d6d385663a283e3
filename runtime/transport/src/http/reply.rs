//! Answers.

use crate::body::Payload;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use proa_model::Metadata;
use serde::Serialize;

pub type Reply = Response<Payload>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// 204.
pub fn empty() -> Reply {
    status(StatusCode::NO_CONTENT)
}

/// A status and nothing else.
pub fn status(status: StatusCode) -> Reply {
    let mut reply = Response::new(Payload::Empty);
    *reply.status_mut() = status;
    reply
}

/// Bytes as they are, called JSON.
pub fn data(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Payload::Full(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// A value as Go's encoder writes it to a stream: with a line feed.
pub fn json(value: &impl Serialize) -> Reply {
    let mut body = super::json::encode(value);
    body.push(b'\n');
    data(StatusCode::OK, body.into())
}

/// Plain text as Go's server writes errors.
pub fn text(status: StatusCode, text: &str) -> Reply {
    let mut reply = Response::new(Payload::Full(format!("{text}\n").into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, PLAIN);
    reply.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Metadata as headers `metadata.<name>`. What no header can carry is left out.
pub fn metadata(reply: &mut Reply, metadata: &Metadata) {
    for (name, value) in metadata {
        let name = HeaderName::try_from(format!("metadata.{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            reply.headers_mut().insert(name, value);
        }
    }
}
