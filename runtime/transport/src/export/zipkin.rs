//! Zipkin's second version of its JSON. The OpenTelemetry project no longer keeps an exporter for it.

use super::otlp;
use super::tls;
use crate::app::http::connect::Connect;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use proa_core::trace::{Kind, Record, Value};
use serde_json::{Map, json};
use std::time::{Duration, SystemTime};

/// See the module's text.
pub(super) struct Zipkin {
    pub(super) url: http::Uri,
    client: Client<Connect, Full<Bytes>>,
    headers: HeaderMap,
    service: String,
    patience: Duration,
}

impl Zipkin {
    pub(super) fn new(url: &str, service: String, patience: Duration) -> Result<Self, String> {
        let url: http::Uri = url.parse().map_err(|e| format!("invalid collector URL {url:?}: {e}"))?;
        let secure = match url.scheme_str() {
            Some("http") => None,
            Some("https") => Some(None),
            _ => return Err(format!("invalid collector URL {:?}: no scheme or host", url.to_string())),
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Self { url, client: otlp::client(tls::connect(secure, false)?), headers, service, patience })
    }

    pub(super) async fn send(&mut self, batch: &[Record]) -> Result<(), String> {
        let spans: Vec<_> = batch.iter().map(|record| span(record, &self.service)).collect();
        let body = serde_json::to_vec(&spans).map_err(|e| e.to_string())?;
        otlp::post_once(&self.client, &self.url, &self.headers, body.into(), self.patience).await
    }
}

fn span(record: &Record, service: &str) -> serde_json::Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut span = Map::new();
    let mut put = |name: &str, value: serde_json::Value| {
        span.insert(name.to_owned(), value);
    };
    put("traceId", hex(&record.link.context.trace_id).into());
    put("id", hex(&record.link.context.span_id).into());
    if let Some(parent) = record.parent {
        put("parentId", hex(&parent).into());
    }
    put("name", record.name.clone().into());
    let kind = match record.kind {
        Kind::Internal => None,
        Kind::Server => Some("SERVER"),
        Kind::Client => Some("CLIENT"),
        Kind::Producer => Some("PRODUCER"),
    };
    if let Some(kind) = kind {
        put("kind", kind.into());
    }
    let begun = record.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let took = record.ended.duration_since(record.begun).unwrap_or_default();
    put("timestamp", (begun.as_micros() as u64).into());
    put("duration", (took.as_micros() as u64).max(1).into());
    put("localEndpoint", json!({ "serviceName": service }));
    let tags = tags(record);
    if !tags.is_empty() {
        put("tags", tags.into());
    }
    span.into()
}

fn tags(record: &Record) -> Map<String, serde_json::Value> {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    };
    let mut tags: Map<_, _> = record.attributes.iter().map(|(name, value)| (name.to_string(), text(value).into())).collect();
    if let Some(why) = &record.failure {
        tags.insert("error".to_owned(), why.clone().into());
        tags.insert("otel.status_code".to_owned(), "ERROR".into());
    }
    tags
}
