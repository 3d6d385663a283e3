//! Calls to other applications: who is meant. It is also what answers to every path that no route knows.
//!
//! A body whose length is known and small is read first, so that it can be sent again; all others pass through as they come. So do
//! answers.

mod details;

use super::path;
use super::query::{unescape, unescape_path};
use super::reply::{self, Reply};
use super::request::{Call, text};
use crate::body::{self, Inbound, Payload, ReadError};
use crate::grpc::error::name;
use crate::invocation::http_headers;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse};
use proa_core::{Transport, services::invoke as service};
use proa_model::error::invoke;
use proa_model::{Error, Grpc};

const APP_ID: &str = "dapr-app-id";
/// The largest body that is kept to be sent again when no policy asks for it.
const KEPT: u64 = 1 << 20;

/// Calls the application that the request names.
pub async fn invoke(mut call: Call<'_>) -> Result<Reply, Error> {
    let path = unescape_path(call.parts.uri.path());
    let (app_id, method) = target(&path, &call.parts.headers).ok_or_else(invoke::no_target)?;
    let mut headers = call.parts.headers.clone();
    headers.remove(APP_ID);
    let limit = call.runtime.options().max_body_size;
    let kept = if service::retries(call.runtime, &app_id) { limit as u64 } else { KEPT };
    let body = match call.take_body() {
        Some(body) => outgoing(body, limit, kept).await.map_err(|why| invoke::failed(&app_id, &why))?,
        None => InvokeBody::Full(bytes::Bytes::new()),
    };
    let request = InvokeRequest {
        method,
        verb: call.parts.method.as_str().to_ascii_uppercase(),
        query: call.parts.uri.query().unwrap_or_default().to_owned(),
        content_type: call.header("content-type").unwrap_or_default().to_owned(),
        type_url: String::new(),
        headers,
        origin: Transport::Http,
        body,
    };
    let is_head = call.parts.method == Method::HEAD;
    match service::invoke(call.runtime, &app_id, request).await {
        Ok(response) => Ok(answer(response, is_head)),
        Err(error) => Err(failed(&app_id, &error)),
    }
}

async fn outgoing(body: Inbound, limit: usize, kept: u64) -> Result<InvokeBody, String> {
    let hint = body.size_hint();
    if body.is_end_stream() || hint.upper().is_some_and(|length| length <= kept) || hint.lower() > limit as u64 {
        let read = body::read(body, limit).await;
        return read.map(InvokeBody::Full).map_err(|error| match error {
            ReadError::TooLarge(_) => "stream too large".to_owned(),
            ReadError::Broken(why) => why,
        });
    }
    Ok(InvokeBody::Stream(Limited::new(body, limit).boxed_unsync()))
}

/// A refusal of the other side's lists stays one.
fn failed(app_id: &str, error: &InvokeError) -> Error {
    let mut failure = invoke::failed(app_id, &error.to_string());
    if error.is(Grpc::PermissionDenied) {
        (failure.http, failure.grpc) = (403, Grpc::PermissionDenied);
    }
    failure
}

fn answer(response: InvokeResponse, is_head: bool) -> Reply {
    let mut reply = if response.is_http() || response.status == 0 {
        let code = if response.status == 0 { 200 } else { response.status };
        let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let body = match response.body {
            InvokeBody::Full(bytes) if bytes.is_empty() => Payload::Empty,
            InvokeBody::Full(bytes) => Payload::Full(bytes),
            InvokeBody::Stream(body) => Payload::Stream(body),
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
        reply
    } else {
        let code = name(tonic::Code::from_i32(response.status));
        tracing::debug!(target: "dapr.runtime.http", "the application answered {code}: {}", response.message);
        reply::data(of_grpc(response.status), details::status(&response).into())
    };
    *reply.headers_mut() = http_headers(&response.headers);
    // Of an answer without a body the length is all that is asked for.
    if let Some(length) = response.headers.get(CONTENT_LENGTH).filter(|_| is_head) {
        reply.headers_mut().insert(CONTENT_LENGTH, length.clone());
    }
    if let Ok(content_type) = HeaderValue::from_str(&response.content_type)
        && !content_type.is_empty()
    {
        reply.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    reply
}

/// A gRPC status in HTTP's terms.
fn of_grpc(code: i32) -> StatusCode {
    use tonic::Code;
    match Code::from_i32(code) {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The application and the method of a request, from the header, the user of basic authentication, or the (decoded) path.
pub fn target(path: &str, headers: &HeaderMap) -> Option<(String, String)> {
    if let Some(app_id) = text(headers, APP_ID).filter(|a| !a.is_empty()).map(str::to_owned).or_else(|| user(headers)) {
        return Some((app_id, method(path)));
    }
    let rest = after(path, "v1.0").and_then(|p| after(p, "invoke"))?;
    let (app_id, called) = rest.split_once("/method/").filter(|(app_id, _)| !app_id.is_empty())?;
    let app_id = match unescape(app_id) {
        Ok(plain) if !plain.is_empty() => plain.into_owned(),
        _ => app_id.to_owned(),
    };
    Some((app_id, service::clean(called)))
}

fn method(path: &str) -> String {
    path::clean(path).trim_start_matches('/').to_owned()
}

/// What follows a segment and the slashes after it.
fn after<'p>(path: &'p str, segment: &str) -> Option<&'p str> {
    let rest = path.trim_start_matches('/').strip_prefix(segment)?;
    rest.starts_with('/').then(|| rest.trim_start_matches('/'))
}

fn user(headers: &HeaderMap) -> Option<String> {
    let encoded = text(headers, "authorization")?.strip_prefix("Basic ")?;
    let plain = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = plain.split_once(':')?;
    (user.eq_ignore_ascii_case(APP_ID) && !password.is_empty() && !password.contains(':')).then(|| password.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_in_three_places() {
        let none = HeaderMap::new();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(target("/v1.0/invoke/app/method/a/b", &none), pair("app", "a/b"));
        assert_eq!(target("/v1.0//invoke/http://host/method/x", &none), pair("http://host", "x"));
        assert_eq!(target("/v1.0/invoke/app/method/", &none), pair("app", ""));
        assert_eq!(target("/v1.0/invoke/app", &none), None);
        assert_eq!(target("/other", &none), None);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Basic {}", STANDARD.encode("dapr-app-id:other")).parse().unwrap());
        assert_eq!(target("/a//b", &headers), pair("other", "a/b"));
        headers.insert("dapr-app-id", "first".parse().unwrap());
        assert_eq!(target("/a", &headers), pair("first", "a"));
    }
}
