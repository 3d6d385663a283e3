//! Other sidecars as this one calls them: HTTP/2 connections, made when they are first needed, dropped when they fail or nobody used them for
//! three minutes, and with TLS when this sidecar has an identity.
//!
//! Requests and answers are streamed with bounded memory. A peer that knows no streams gets one message, if the body is at hand.

mod answer;
mod connect;

use crate::invocation::{PIECE, pieces, to_map};
use crate::pool::{Lease, Pool};
use crate::tls::Security;
use answer::{Guarded, response, unary};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse, Peer, Peers};
use proa_core::{Runtime, Transport};
use proa_host::middleware::Body;
use proa_model::Grpc;
use proa_protocol::common::v1::{HttpExtension, InvokeRequest as Message, StreamPayload, http_extension::Verb};
use proa_protocol::internals::v1::service_invocation_client::ServiceInvocationClient;
use proa_protocol::internals::v1::{ApiVersion, InternalInvokeRequest, InternalInvokeRequestStream};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long a connection may be idle, and how often that is looked at, unless the environment says otherwise.
const IDLE: Duration = Duration::from_secs(180);
const COLLECT: Duration = Duration::from_secs(45);
const MANAGER: &str = "dapr.runtime.grpc.manager";

/// See the module's text.
pub struct GrpcPeers {
    pools: Mutex<HashMap<Peer, Arc<Pool>>>,
    security: Option<Arc<Security>>,
    limit: usize,
    idle: Duration,
}

impl GrpcPeers {
    pub fn new(runtime: &Runtime, security: Option<Arc<Security>>) -> Self {
        Self { pools: Mutex::default(), security, limit: runtime.options().max_body_size, idle: duration("DAPR_GRPC_MAX_CONN_IDLE", IDLE) }
    }

    /// Closes idle connections until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let every = duration("DAPR_GRPC_CONN_COLLECTOR_INTERVAL", COLLECT);
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            self.purge();
        }
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<Peer, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn purge(&self) {
        self.pools().retain(|peer, pool| {
            let (purged, left) = pool.purge(self.idle, 0);
            if purged > 0 {
                tracing::debug!(target: MANAGER, "Purged {purged} expired gRPC connection(s) to {}", peer.address);
            }
            // A pool that somebody is about to lease from stays.
            left || Arc::strong_count(pool) > 1
        });
    }

    fn lease(&self, peer: &Peer) -> Result<Lease, InvokeError> {
        let known = self.pools().get(peer).cloned();
        let pool = known.unwrap_or_else(|| self.pools().entry(peer.clone()).or_default().clone());
        pool.lease(|| connect::channel(peer, self.security.clone()))
    }

    fn client(&self, lease: &Lease) -> ServiceInvocationClient<Channel> {
        ServiceInvocationClient::new(lease.channel()).max_decoding_message_size(self.limit).max_encoding_message_size(self.limit)
    }

    async fn send(&self, peer: &Peer, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        crate::trace::put_relayed(&mut request.headers);
        let (lease, app_id) = (self.lease(peer)?, &peer.app_id);
        let mut client = self.client(&lease);
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
            Ok(answer) => match response(answer.into_inner(), guard, lease).await {
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
    fn call<'a>(&'a self, peer: &'a Peer, request: InvokeRequest) -> BoxFuture<'a, Result<InvokeResponse, InvokeError>> {
        Box::pin(self.send(peer, request))
    }

    fn proxy<'a>(&'a self, peer: &'a Peer, request: http::Request<Body>) -> BoxFuture<'a, Result<http::Response<Body>, InvokeError>> {
        Box::pin(async move { crate::raw::pass(self.lease(peer)?, request).await })
    }

    fn failed(&self, peer: &Peer) {
        // Taken out first: closing connections needs no lock.
        let pool = self.pools().remove(peer);
        if let Some(pool) = pool {
            pool.clear();
        }
    }
}

/// A time of the environment's, as Go writes it.
fn duration(name: &str, otherwise: Duration) -> Duration {
    let Some(text) = std::env::var(name).ok() else { return otherwise };
    match proa_core::parse_duration(&text).ok().filter(|d| !d.is_zero()) {
        Some(duration) => duration,
        None => {
            tracing::warn!(target: MANAGER, "Ignoring invalid duration {text:?} in {name}; using default {}s", otherwise.as_secs());
            otherwise
        }
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
