//! A collector of spans, inside the test process: OTLP over gRPC. Over HTTP an [`App`](crate::App) records requests, which
//! [`spans_of`] reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::wait::until;

/// A span as it arrived. Ids are in hexadecimal; a root has an empty parent.
#[derive(Clone, Debug)]
pub struct SeenSpan {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub state: String,
    /// 1 internal, 2 server, 3 client, 4 producer.
    pub kind: i32,
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process.
    pub resource: BTreeMap<String, String>,
    /// Why it failed.
    pub error: Option<String>,
}

#[derive(Default)]
struct Inner {
    spans: Mutex<Vec<SeenSpan>>,
    headers: Mutex<MetadataMap>,
}

/// A running collector.
pub struct Collector {
    port: u16,
    inner: Arc<Inner>,
    server: AbortHandle,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("collector port");
        let port = listener.local_addr().expect("collector address").port();
        let inner = Arc::new(Inner::default());
        let router = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Service(inner.clone())));
        let server = tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener))).abort_handle();
        Self { port, inner, server }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn spans(&self) -> Vec<SeenSpan> {
        self.inner.spans.lock().expect("spans").clone()
    }

    /// A header of the last export.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.inner.headers.lock().expect("headers");
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// Waits up to twenty seconds for a span that `look` accepts.
    pub async fn wait_for(&self, what: &str, look: impl Fn(&SeenSpan) -> bool) -> SeenSpan {
        until(&format!("the span {what}"), Duration::from_secs(20), || async { self.spans().into_iter().find(|span| look(span)) }).await
    }

    pub async fn named(&self, name: &str) -> SeenSpan {
        self.wait_for(name, |span| span.name == name).await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service(Arc<Inner>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        *self.0.headers.lock().expect("headers") = request.metadata().clone();
        self.0.spans.lock().expect("spans").extend(seen(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The spans in the body of an export over HTTP.
pub fn spans_of(body: &[u8]) -> Vec<SeenSpan> {
    seen(ExportTraceServiceRequest::decode(body).expect("an export request"))
}

fn seen(request: ExportTraceServiceRequest) -> Vec<SeenSpan> {
    let mut all = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(group.resource.map(|resource| resource.attributes).unwrap_or_default());
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
            all.push(SeenSpan {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                state: span.trace_state,
                kind: span.kind,
                attributes: attributes(span.attributes),
                resource: resource.clone(),
                error: span.status.filter(|status| status.code == 2).map(|status| status.message),
            });
        }
    }
    all
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("an attribute that is {other:?}"),
    };
    list.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|any| any.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
