//! `InvokeService`: a call of another application by a gRPC caller.
//!
//! An HTTP application's status becomes a gRPC one, with the HTTP status beside it; headers come back as metadata.

use super::api::Api;
use super::local::verb;
use crate::body;
use crate::invocation::grpc_metadata;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proa_core::Transport;
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse};
use proa_core::services::invoke as service;
use proa_model::error::invoke as errors;
use proa_protocol::common::v1 as common;
use proa_protocol::runtime::v1::InvokeServiceRequest;
use std::collections::HashMap;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetail, ErrorInfo, StatusExt};

/// The longest text of an HTTP error that fits into the metadata of an `ErrorInfo`.
const DETAIL_MAX: usize = 63;

pub(super) async fn invoke(api: &Api, request: Request<InvokeServiceRequest>) -> Result<Response<common::InvokeResponse>, Status> {
    let (metadata, _, request) = request.into_parts();
    let app_id = request.id;
    let message = request.message.unwrap_or_default();
    let extension = message.http_extension.unwrap_or_default();
    let data = message.data.unwrap_or_default();
    let call = InvokeRequest {
        method: message.method,
        verb: verb(extension.verb),
        query: extension.querystring,
        content_type: message.content_type,
        type_url: data.type_url,
        headers: headers(metadata),
        origin: Transport::Grpc,
        body: InvokeBody::Full(data.value.into()),
    };
    let response = service::invoke(&api.runtime, &app_id, call).await.map_err(|error| fail(api, &app_id, error))?;
    answer(response, api.runtime.options().max_body_size).await
}

fn fail(api: &Api, app_id: &str, error: InvokeError) -> Status {
    match error {
        InvokeError::Stopped(_) => super::proxy::status(error),
        InvokeError::Plain(_) | InvokeError::Status { .. } => api.fail(&errors::failed(app_id, &error.to_string())),
    }
}

fn headers(metadata: MetadataMap) -> HeaderMap {
    let mut headers = metadata.into_headers();
    // What tonic keeps back of a call tells the other side that gRPC was spoken.
    headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
    headers.remove("content-length");
    headers
}

async fn answer(response: InvokeResponse, limit: usize) -> Result<Response<common::InvokeResponse>, Status> {
    let (status, is_http) = (response.status, response.is_http());
    let mut metadata = grpc_metadata(&response.headers);
    let bytes = match response.body {
        InvokeBody::Full(bytes) => bytes,
        InvokeBody::Stream(body) => body::read(body, limit).await.map_err(|e| Status::internal(format!("failed to read response body: {e}")))?,
    };
    if is_http {
        metadata.insert("dapr-http-status", status.into());
        refused(status, &bytes, metadata.clone())?;
    } else if status != Code::Ok as i32 {
        let details = proto_status(status, &response.message, response.details);
        metadata.as_mut().extend(grpc_metadata(&response.trailers).into_headers());
        return Err(Status::with_details_and_metadata(Code::from_i32(status), response.message, details, metadata));
    }
    let mut answer = Response::new(common::InvokeResponse {
        data: Some(prost_types::Any { type_url: response.type_url, value: bytes.to_vec() }),
        content_type: response.content_type,
    });
    *answer.metadata_mut() = metadata;
    Ok(answer)
}

/// An error status of HTTP in gRPC's terms.
fn refused(status: i32, body: &Bytes, metadata: MetadataMap) -> Result<(), Status> {
    let code = code(status);
    if code == Code::Ok {
        return Ok(());
    }
    let text = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).and_then(|s| s.canonical_reason()).unwrap_or_default();
    let why = String::from_utf8_lossy(body.get(..DETAIL_MAX).unwrap_or(body)).into_owned();
    let facts = HashMap::from([("http.code".to_owned(), status.to_string()), ("http.error_message".to_owned(), why)]);
    let info: ErrorDetail = ErrorInfo::new(text, "dapr.io", facts).into();
    Err(Status::with_error_details_vec_and_metadata(code, text, vec![info], metadata))
}

fn code(http: i32) -> Code {
    match http {
        200..=299 => Code::Ok,
        408 => Code::Cancelled,
        400 => Code::Internal,
        504 => Code::DeadlineExceeded,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        403 => Code::PermissionDenied,
        401 => Code::Unauthenticated,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// `google.rpc.Status`, which carries the details on the wire; it has the numbers of the sidecars' own message.
fn proto_status(code: i32, message: &str, details: Vec<(String, Vec<u8>)>) -> Bytes {
    if details.is_empty() {
        return Bytes::new();
    }
    let details = details.into_iter().map(|(type_url, value)| prost_types::Any { type_url, value }).collect();
    let status = proa_protocol::internals::v1::Status { code, message: message.to_owned(), details };
    prost::Message::encode_to_vec(&status).into()
}
