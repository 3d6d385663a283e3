//! Calls of other applications, handed to one that speaks gRPC (`OnInvoke`): one message each way, headers as metadata.

use super::GrpcApp;
use crate::body;
use crate::grpc::error::name;
use crate::invocation::grpc_metadata;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse};
use proa_model::Grpc;
use proa_protocol::common::v1::{HttpExtension, InvokeRequest as Message, InvokeResponse as Answer, http_extension::Verb};
use prost::Message as _;
use std::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

const ON_INVOKE: &str = "/dapr.proto.runtime.v1.AppCallback/OnInvoke";

impl GrpcApp {
    pub(super) async fn hand_over(&self, request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        let data = match request.body {
            InvokeBody::Full(bytes) => bytes,
            InvokeBody::Stream(body) => body::read(body, self.max_message).await.map_err(|e| InvokeError::Plain(e.to_string()))?,
        };
        let verb = Verb::from_str_name(&request.verb).map_or(0, |v| v as i32);
        let message = Message {
            method: request.method,
            data: Some(prost_types::Any { type_url: request.type_url, value: data.to_vec() }),
            content_type: request.content_type,
            http_extension: Some(HttpExtension { verb, querystring: request.query }),
        };
        let mut outgoing = Request::new(message);
        *outgoing.metadata_mut() = grpc_metadata(&request.headers);
        if self.traces {
            crate::trace::put_grpc(outgoing.metadata_mut());
        }
        if let Some(token) = &self.token {
            outgoing.metadata_mut().insert(super::TOKEN, token.clone());
        }
        let _permit = self.permit().await.map_err(|e| InvokeError::Plain(e.message))?;
        let (begun, sent) = (Instant::now(), outgoing.get_ref().encoded_len() as u64);
        let outcome = self.on_invoke(outgoing).await?;
        let (code, received) = outcome.as_ref().map_or_else(|s| (s.code(), 0), |a| (Code::Ok, a.get_ref().encoded_len() as u64));
        self.metrics.grpc_client(ON_INVOKE, name(code), begun.elapsed(), sent, received);
        Ok(outcome.map_or_else(refused, answered))
    }

    /// The outer error: the application cannot be reached.
    async fn on_invoke(&self, request: Request<Message>) -> Result<Result<tonic::Response<Answer>, Status>, InvokeError> {
        let lease = self.lease();
        let mut client = tonic::client::Grpc::new(lease.channel()).max_decoding_message_size(self.max_message);
        client.ready().await.map_err(|error| InvokeError::status(Grpc::Unavailable, format!("error getting app connection: {error}")))?;
        let codec = tonic_prost::ProstCodec::<Message, Answer>::default();
        Ok(client.unary(request, PathAndQuery::from_static(ON_INVOKE), codec).await)
    }
}

fn answered(answer: tonic::Response<Answer>) -> InvokeResponse {
    let (metadata, message, _) = answer.into_parts();
    let data = message.data.unwrap_or_default();
    InvokeResponse {
        status: Code::Ok as i32,
        message: String::new(),
        details: Vec::new(),
        headers: headers(metadata),
        trailers: HeaderMap::new(),
        content_type: message.content_type,
        type_url: data.type_url,
        body: InvokeBody::Full(Bytes::from(data.value)),
    }
}

/// A status is an answer too.
fn refused(status: Status) -> InvokeResponse {
    let full = proa_protocol::internals::v1::Status::decode(status.details()).unwrap_or_default();
    InvokeResponse {
        status: status.code() as i32,
        message: status.message().to_owned(),
        details: full.details.into_iter().map(|any| (any.type_url, any.value)).collect(),
        headers: HeaderMap::new(),
        trailers: headers(status.metadata().clone()),
        content_type: String::new(),
        type_url: String::new(),
        body: InvokeBody::Full(Bytes::new()),
    }
}

/// Metadata as headers; binary values in the padded form that sidecars exchange.
fn headers(metadata: MetadataMap) -> HeaderMap {
    let mut headers = metadata.clone().into_headers();
    for entry in metadata.iter() {
        if let tonic::metadata::KeyAndValueRef::Binary(key, value) = entry
            && let Ok(bytes) = value.to_bytes()
            && let Ok(text) = HeaderValue::from_str(&STANDARD.encode(bytes))
            && let Ok(name) = http::HeaderName::try_from(key.as_str())
        {
            headers.insert(name, text);
        }
    }
    for own in ["content-type", "grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(own);
    }
    headers
}
