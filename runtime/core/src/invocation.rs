//! A call of one application by another: the records that travel between transports, and how peers are reached.
//!
//! Headers keep what came, under lower-case names; whoever sends them on takes out what belongs to one connection. Bodies that are small
//! and known beforehand are bytes and can be sent again; all others are streams and are sent once.

use crate::names::Resolver;
use crate::options::Transport;
use crate::resiliency::Stopped;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use proa_host::middleware::Body;
use proa_model::Grpc;
use std::sync::Arc;

/// A body in either form.
pub enum InvokeBody {
    Full(Bytes),
    Stream(Body),
}

/// See the module's text.
pub struct InvokeRequest {
    /// Without a slash in front.
    pub method: String,
    /// `GET`; empty when a gRPC caller did not say.
    pub verb: String,
    /// As it was sent, without the question mark.
    pub query: String,
    pub content_type: String,
    /// Of the data, when a gRPC caller sent a typed message.
    pub type_url: String,
    pub headers: HeaderMap,
    /// What the caller spoke.
    pub origin: Transport,
    pub body: InvokeBody,
}

/// What an application answered: its status is HTTP's from 100 on, and gRPC's below.
pub struct InvokeResponse {
    pub status: i32,
    /// Of a gRPC status.
    pub message: String,
    /// Of a gRPC status: type and bytes.
    pub details: Vec<(String, Vec<u8>)>,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub content_type: String,
    pub type_url: String,
    pub body: InvokeBody,
}

impl InvokeResponse {
    pub fn is_http(&self) -> bool {
        self.status >= 100
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("{0}")]
    Plain(String),
    /// What a peer, or the way to it, said. Printed as gRPC for Go does.
    #[error("rpc error: code = {} desc = {message}", name(*.code))]
    Status { code: i32, message: String },
    /// A policy stood before the call, or ended it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl InvokeRequest {
    /// The same request once more, when its body allows it.
    pub fn again(&self) -> Option<Self> {
        let InvokeBody::Full(body) = &self.body else { return None };
        Some(Self {
            method: self.method.clone(),
            verb: self.verb.clone(),
            query: self.query.clone(),
            content_type: self.content_type.clone(),
            type_url: self.type_url.clone(),
            headers: self.headers.clone(),
            origin: self.origin,
            body: InvokeBody::Full(body.clone()),
        })
    }
}

impl InvokeError {
    pub fn status(code: Grpc, message: impl Into<String>) -> Self {
        Self::Status { code: code as i32, message: message.into() }
    }

    /// The gRPC code, where there is one.
    pub fn is(&self, wanted: Grpc) -> bool {
        matches!(self, Self::Status { code, .. } if *code == wanted as i32)
    }
}

fn name(code: i32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).copied().unwrap_or("Unknown")
}

/// The sidecar of another application, where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub app_id: String,
    pub namespace: String,
    /// `host:port`.
    pub address: String,
}

/// The way to other sidecars; transport implements it.
pub trait Peers: Send + Sync {
    /// Sends a request to a sidecar.
    fn call<'a>(&'a self, peer: &'a Peer, request: InvokeRequest) -> BoxFuture<'a, Result<InvokeResponse, InvokeError>>;
    /// Passes a call of gRPC on as it is; the answer comes as it is.
    fn proxy<'a>(&'a self, peer: &'a Peer, request: http::Request<Body>) -> BoxFuture<'a, Result<http::Response<Body>, InvokeError>>;
    /// The connection to this sidecar is of no use any more.
    fn failed(&self, peer: &Peer);
}

/// A service outside, with everything resolved that its resource refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The resource's name, or the address itself.
    pub name: String,
    pub base_url: String,
    pub headers: Vec<(String, String)>,
    pub tls: Option<EndpointTls>,
}

/// Texts in PEM; empty when not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EndpointTls {
    pub root_ca: String,
    pub certificate: String,
    pub private_key: String,
    pub renegotiation: Option<String>,
}

impl std::fmt::Debug for EndpointTls {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointTls").field("renegotiation", &self.renegotiation).finish_non_exhaustive()
    }
}

/// The way to services outside; transport implements it.
pub trait Outside: Send + Sync {
    fn call<'a>(&'a self, endpoint: &'a Arc<Endpoint>, request: InvokeRequest) -> BoxFuture<'a, Result<InvokeResponse, InvokeError>>;
}

/// How other applications are found and reached.
pub(crate) struct Neighbours {
    pub names: Option<Arc<dyn Resolver>>,
    pub peers: Arc<dyn Peers>,
}
