//! Other sidecars as this one calls them: one HTTP/2 connection an address, made when it is first needed and dropped when it fails or
//! nobody used it for three minutes.
//!
//! Requests and answers are streamed with bounded memory. A peer that knows no streams gets one message, if the body is at hand.

mod answer;

use crate::invocation::{PIECE, pieces, to_map};
use answer::{Guarded, response, unary};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse, Peers};
use proa_core::{Runtime, Transport};
use proa_model::Grpc;
use proa_protocol::common::v1::{HttpExtension, InvokeRequest as Message, StreamPayload, http_extension::Verb};
use proa_protocol::internals::v1::service_invocation_client::ServiceInvocationClient;
use proa_protocol::internals::v1::{ApiVersion, InternalInvokeRequest, InternalInvokeRequestStream};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::ServiceExt;

const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(180);
const PING_EVERY: Duration = Duration::from_secs(20);
const WINDOW: u32 = 1 << 20;

struct Pooled {
    channel: Channel,
    used: Instant,
}

/// See the module's text.
pub struct GrpcPeers {
    channels: Mutex<HashMap<String, Pooled>>,
    limit: usize,
}

impl GrpcPeers {
    pub fn new(runtime: &Runtime) -> Self {
        Self { channels: Mutex::default(), limit: runtime.options().max_body_size }
    }

    fn channel(&self, address: &str) -> Result<Channel, InvokeError> {
        let now = Instant::now();
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pooled) = channels.get_mut(address) {
            pooled.used = now;
            return Ok(pooled.channel.clone());
        }
        channels.retain(|address, pooled| {
            let young = now.duration_since(pooled.used) < IDLE;
            if !young {
                tracing::debug!(target: "dapr.runtime.grpc", "Purged 1 expired gRPC connection(s) to {address}");
            }
            young
        });
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|e| InvokeError::Plain(format!("{address:?} is not an address: {e}")))?;
        let channel = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .connect_lazy();
        channels.insert(address.to_owned(), Pooled { channel: channel.clone(), used: now });
        Ok(channel)
    }

    async fn client(&self, address: &str) -> Result<ServiceInvocationClient<Channel>, InvokeError> {
        let mut channel = self.channel(address)?;
        channel.ready().await.map_err(|error| InvokeError::status(Grpc::Unavailable, format!("connection error: {error}")))?;
        Ok(ServiceInvocationClient::new(channel).max_decoding_message_size(self.limit).max_encoding_message_size(self.limit))
    }

    async fn send(&self, address: &str, app_id: &str, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        crate::trace::put_relayed(&mut request.headers);
        let mut client = self.client(address).await?;
        let (head, body) = head(request);
        let spare = match &body {
            InvokeBody::Full(bytes) => Some((head.clone(), bytes.clone())),
            InvokeBody::Stream(_) => None,
        };
        let (broken, breaks) = oneshot::channel();
        let mut guard = Guarded::new(breaks);
        let mut outgoing = tonic::Request::new(messages(head, body, broken));
        crate::trace::put_peer(outgoing.metadata_mut());
        let call = client.call_local_stream(outgoing);
        let outcome = tokio::select! {
            outcome = call => outcome,
            why = guard.broken() => return Err(InvokeError::Plain(why)),
        };
        let error = match outcome {
            Ok(answer) => match response(answer.into_inner(), guard).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            },
            Err(status) => failure(&status),
        };
        if !error.is(Grpc::Unimplemented) {
            return Err(error);
        }
        let Some((mut head, bytes)) = spare else {
            return Err(InvokeError::Plain(format!(
                "target app '{app_id}' is running a version of Dapr that does not support streaming-based service invocation"
            )));
        };
        tracing::warn!(target: "dapr.runtime.direct_messaging", "App {app_id} does not support streaming-based service invocation; falling back to unary calls");
        if let Some(message) = &mut head.message {
            message.data.get_or_insert_default().value = bytes.to_vec();
        }
        let mut outgoing = tonic::Request::new(head);
        crate::trace::put_peer(outgoing.metadata_mut());
        client.call_local(outgoing).await.map(|answer| unary(answer.into_inner())).map_err(|status| failure(&status))
    }
}

impl Peers for GrpcPeers {
    fn call<'a>(&'a self, address: &'a str, app_id: &'a str, request: InvokeRequest) -> BoxFuture<'a, Result<InvokeResponse, InvokeError>> {
        Box::pin(self.send(address, app_id, request))
    }

    fn failed(&self, address: &str) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

/// A status of the peer's, or of the way to it.
pub(crate) fn failure(status: &Status) -> InvokeError {
    let code = match status.code() {
        // Nothing that a peer said: the connection broke.
        Code::Unknown if std::error::Error::source(status).is_some() => Code::Unavailable,
        code => code,
    };
    InvokeError::Status { code: code as i32, message: status.message().to_owned() }
}

/// The leading message without the data.
fn head(request: InvokeRequest) -> (InternalInvokeRequest, InvokeBody) {
    let verb = Verb::from_str_name(&request.verb).map_or(0, |verb| verb as i32);
    let is_http = request.origin == Transport::Http || verb != 0;
    let message = Message {
        method: request.method,
        data: Some(prost_types::Any { type_url: request.type_url, value: Vec::new() }),
        content_type: request.content_type,
        http_extension: is_http.then_some(HttpExtension { verb, querystring: request.query }),
    };
    let head =
        InternalInvokeRequest { ver: ApiVersion::V1.into(), metadata: to_map(&request.headers, request.origin), message: Some(message), actor: None };
    (head, request.body)
}

/// A request on its way. A type of its own: a boxed stream keeps futures that hold it from being `Send`.
struct Messages(BoxStream<'static, InternalInvokeRequestStream>);

impl Stream for Messages {
    type Item = InternalInvokeRequestStream;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// The request in messages: the first has the head, and the first piece when it is at hand. A body that fails never ends, so that the
/// peer does not take what it got for the whole; the failure goes to `broken`.
fn messages(head: InternalInvokeRequest, body: InvokeBody, broken: oneshot::Sender<String>) -> Messages {
    let (first, rest) = match body {
        InvokeBody::Full(mut bytes) => {
            let first = bytes.split_to(bytes.len().min(PIECE));
            (Some(first).filter(|f| !f.is_empty()), InvokeBody::Full(bytes))
        }
        body @ InvokeBody::Stream(_) => (None, body),
    };
    let payload = |data: Bytes, seq: u64| Some(StreamPayload { data, seq });
    let start = u64::from(first.is_some());
    let leading = InternalInvokeRequestStream { request: Some(head), payload: first.and_then(|data| payload(data, 0)) };
    let step = move |(mut pieces, seq, mut broken): (BoxStream<'static, _>, u64, Option<oneshot::Sender<String>>)| async move {
        match pieces.next().await? {
            Ok(data) => Some((InternalInvokeRequestStream { request: None, payload: payload(data, seq) }, (pieces, seq + 1, broken))),
            Err(error) => {
                let error: proa_host::middleware::BoxError = error;
                if let Some(broken) = broken.take() {
                    // Nobody listens when the answer is complete.
                    let _ = broken.send(error.to_string());
                }
                futures::future::pending().await
            }
        }
    };
    Messages(Box::pin(stream::once(async { leading }).chain(stream::unfold((pieces(rest), start, Some(broken)), step))))
}
