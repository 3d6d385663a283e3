//! The OpenTelemetry protocol, with the project's own messages and gRPC client.
//!
//! What a collector cannot take now is sent again, with growing pauses, for as long as a batch may take.

use super::tls;
use crate::app::http::connect::Connect;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as Described;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Code;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proa_core::trace::{Kind, Record, Value};
use prost::Message;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

/// The name under which Dapr's sidecar makes its spans.
const SCOPE: &str = "dapr-diagnostics";
/// The first pause before a batch is sent again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A span's flags: the parent's place is known; it is in another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// The most of a collector's answer that is read.
const ANSWER: usize = 64 << 10;

/// What all spans have in common.
pub(super) struct Resource {
    pub(super) service: String,
    pub(super) attributes: Vec<(String, String)>,
}

/// OTLP over gRPC.
pub(super) struct Grpc {
    pub(super) address: String,
    client: TraceServiceClient<Channel>,
    metadata: MetadataMap,
    patience: Duration,
    resource: Resource,
}

/// OTLP over HTTP, as Protobuf.
pub(super) struct Http {
    pub(super) url: http::Uri,
    client: Client<Connect, Full<Bytes>>,
    headers: HeaderMap,
    patience: Duration,
    resource: Resource,
}

/// Why a batch was not taken.
struct Failure {
    why: String,
    again: bool,
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || format!("otel header {name:?} cannot be sent");
        map.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong())?, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(map)
}

impl Grpc {
    pub(super) fn new(
        address: &str,
        secure: Option<Option<&str>>,
        headers: &[(String, String)],
        patience: Duration,
        resource: Resource,
    ) -> Result<Self, String> {
        let scheme = if secure.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|e| format!("otel endpoint {address:?}: {e}"))?;
        let channel = endpoint.connect_with_connector_lazy(tls::connect(secure, true)?);
        let metadata = MetadataMap::from_headers(header_map(headers)?);
        Ok(Self { address: address.to_owned(), client: TraceServiceClient::new(channel), metadata, patience, resource })
    }

    pub(super) async fn send(&mut self, batch: &[Record]) -> Result<(), String> {
        let message = message(batch, &self.resource);
        let (client, metadata, patience) = (&self.client, &self.metadata, self.patience);
        persist(patience, || async {
            let mut request = tonic::Request::new(message.clone());
            *request.metadata_mut() = metadata.clone();
            let sent = client.clone().export(request).await;
            sent.map(drop).map_err(|status| Failure { why: crate::grpc::error::printed(&status), again: may_pass(status.code()) })
        })
        .await
    }
}

/// Failures that the protocol calls passing.
fn may_pass(code: tonic::Code) -> bool {
    use tonic::Code;
    matches!(code, Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss | Code::Unknown)
}

impl Http {
    pub(super) fn new(
        address: &str,
        secure: Option<Option<&str>>,
        headers: &[(String, String)],
        patience: Duration,
        resource: Resource,
    ) -> Result<Self, String> {
        let scheme = if secure.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}/v1/traces").parse().map_err(|e| format!("otel endpoint {address:?}: {e}"))?;
        let mut headers = header_map(headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self { url, client: client(tls::connect(secure, false)?), headers, patience, resource })
    }

    pub(super) async fn send(&mut self, batch: &[Record]) -> Result<(), String> {
        let body = Bytes::from(message(batch, &self.resource).encode_to_vec());
        persist(self.patience, || async { post(&self.client, &self.url, &self.headers, body.clone()).await }).await
    }
}

pub(super) fn client(connect: Connect) -> Client<Connect, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(90)).build(connect)
}

async fn post(client: &Client<Connect, Full<Bytes>>, url: &http::Uri, headers: &HeaderMap, body: Bytes) -> Result<(), Failure> {
    let mut request = Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, url.clone(), headers.clone());
    let answer = client.request(request).await.map_err(|e| Failure { why: crate::app::http::connect::told(&e), again: true })?;
    let status = answer.status();
    // Read, so that the connection can be used again; what it says is of no interest.
    let _ = Limited::new(answer.into_body(), ANSWER).collect().await;
    if status.is_success() {
        return Ok(());
    }
    let again = status == StatusCode::TOO_MANY_REQUESTS || matches!(status.as_u16(), 502..=504);
    Err(Failure { why: format!("failed to send to {url}: {status}"), again })
}

/// Sends once; for those that know no better.
pub(super) async fn post_once(
    client: &Client<Connect, Full<Bytes>>,
    url: &http::Uri,
    headers: &HeaderMap,
    body: Bytes,
    patience: Duration,
) -> Result<(), String> {
    let sent = timeout(patience, post(client, url, headers, body)).await;
    sent.map_err(|_| "context deadline exceeded".to_owned())?.map_err(|failure| failure.why)
}

/// Tries until it succeeds, cannot succeed, or the time is over.
async fn persist<F, Fut>(patience: Duration, attempt: F) -> Result<(), String>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let end = Instant::now() + patience;
    let mut pause = PAUSE.0;
    let mut last = "context deadline exceeded".to_owned();
    loop {
        match timeout_at(end, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Err(_) => return Err(last),
            Ok(Err(failure)) => {
                last = failure.why;
                if !failure.again || Instant::now() + pause >= end {
                    return Err(last);
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn message(batch: &[Record], resource: &Resource) -> ExportTraceServiceRequest {
    let mut attributes = vec![text("service.name", &resource.service)];
    attributes.extend(resource.attributes.iter().map(|(name, value)| text(name, value)));
    let scope = InstrumentationScope { name: SCOPE.to_owned(), ..Default::default() };
    let spans = batch.iter().map(span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Described { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

fn span(record: &Record) -> Span {
    let context = record.link.context;
    let kind = match record.kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
    };
    let status = record.failure.as_ref().map(|why| Status { message: why.clone(), code: Code::Error.into() });
    let remote = if record.parent.is_some() && record.parent_is_remote { IS_REMOTE } else { 0 };
    Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        trace_state: record.link.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: record.parent.map(Vec::from).unwrap_or_default(),
        flags: u32::from(context.flags) | HAS_IS_REMOTE | remote,
        name: record.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: nanos(record.begun),
        end_time_unix_nano: nanos(record.ended),
        attributes: record.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        dropped_attributes_count: record.attributes_dropped,
        status: Some(status.unwrap_or_default()),
        ..Default::default()
    }
}

fn nanos(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

fn attribute(name: &str, value: &Value) -> KeyValue {
    match value {
        Value::Text(value) => text(name, value),
        Value::Number(number) => pair(name, any_value::Value::IntValue(*number)),
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    pair(name, any_value::Value::StringValue(value.to_owned()))
}

fn pair(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
