//! What the runtime wants of the application, whatever the application speaks. Transport implements it.

use crate::invocation::{InvokeError, InvokeRequest, InvokeResponse};
use bytes::Bytes;
use futures::future::BoxFuture;
use proa_host::middleware::Body;
use proa_model::{Grpc, Metadata};
use std::sync::Arc;
use std::time::Duration;

/// The application's answer was no answer.
#[derive(Clone, Debug)]
pub struct ChannelError {
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    pub message: String,
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ChannelError {}

/// A rule of a subscription: the first one that matches gives the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// CEL over `event`; empty matches everything.
    pub match_expr: String,
    pub path: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bulk {
    pub enabled: bool,
    pub max_messages: u32,
    pub max_await_ms: u32,
}

/// A subscription as the application states it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppSubscription {
    pub pubsub_name: String,
    pub topic: String,
    pub dead_letter_topic: String,
    pub metadata: Metadata,
    pub rules: Vec<Rule>,
    /// Where an event goes that no rule matches; empty: nowhere.
    pub default_path: String,
    pub bulk: Option<Bulk>,
}

/// What a delivery belongs to.
#[derive(Clone, Debug)]
pub struct Source {
    pub pubsub: String,
    pub topic: String,
    pub metadata: Metadata,
}

/// One event on its way to the application.
#[derive(Clone, Debug)]
pub struct TopicDelivery {
    pub subscription: Arc<Source>,
    pub path: String,
    /// The whole event, data included.
    pub cloud_event: serde_json::Value,
    pub raw_payload: bool,
    /// What an HTTP application gets.
    pub body: Bytes,
    /// The content type of `body`.
    pub content_type: String,
    pub metadata: Metadata,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    Success,
    Retry,
    /// Never again; the dead letter topic, where there is one, gets it.
    Drop,
    /// Nobody there will ever take such an event: done with, and no dead letter either.
    Unwanted,
    /// The subscriber went away before it answered: whether it has seen the event is not known, so the broker keeps it.
    Unanswered,
}

/// What an entry of a bulk delivery holds.
#[derive(Clone, Debug)]
pub enum BulkEvent {
    CloudEvent(serde_json::Value),
    Raw(Bytes),
}

/// One event among several.
#[derive(Clone, Debug)]
pub struct BulkEntry {
    /// Names the entry in the answer.
    pub id: String,
    pub event: BulkEvent,
    /// What the broker said of the message; none where it said nothing.
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

/// Several events for one path in one call.
#[derive(Clone, Debug)]
pub struct BulkDelivery {
    pub subscription: Arc<Source>,
    pub id: String,
    pub path: String,
    pub entries: Vec<BulkEntry>,
}

/// What the application said to several events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkReply {
    /// Entry by entry; what is not named has no answer.
    Statuses(Vec<(String, DeliveryStatus)>),
    /// Nobody there takes such a call.
    Unwanted,
}

/// A stream of events that an application has opened itself.
pub trait EventStream: Send + Sync {
    /// Hands an event over and waits for the verdict.
    fn deliver(&self, delivery: TopicDelivery) -> BoxFuture<'_, Result<DeliveryStatus, ChannelError>>;
}

/// One event of an input binding.
#[derive(Clone, Debug)]
pub struct BindingDelivery {
    pub name: String,
    pub route: String,
    pub data: Bytes,
    pub content_type: Option<String>,
    pub metadata: Metadata,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

/// What the application answered to an event of an input binding.
#[derive(Clone, Debug, Default)]
pub struct BindingReply {
    pub data: Option<Bytes>,
    pub store_name: String,
    /// State to save: a list of items as the state API takes them.
    pub state: serde_json::Value,
    /// Output bindings to call with `data`.
    pub to: Vec<String>,
    pub concurrency: String,
}

/// See the module's text.
pub trait AppChannel: Send + Sync {
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<AppSubscription>, ChannelError>>;
    /// The application's configuration of actors; null when it has none.
    fn app_config(&self) -> BoxFuture<'_, Result<serde_json::Value, ChannelError>>;
    fn deliver(&self, delivery: TopicDelivery) -> BoxFuture<'_, Result<DeliveryStatus, ChannelError>>;
    fn deliver_bulk(&self, delivery: BulkDelivery) -> BoxFuture<'_, Result<BulkReply, ChannelError>>;
    /// Whether the application takes events of this binding.
    fn binding_wanted<'a>(&'a self, name: &'a str, route: &'a str, timeout: Duration) -> BoxFuture<'a, Result<bool, ChannelError>>;
    fn binding_event(&self, event: BindingDelivery) -> BoxFuture<'_, Result<BindingReply, ChannelError>>;
    /// Hands a call of another application (or of the application itself) over. Any answer of the application's is `Ok`.
    fn invoke(&self, request: InvokeRequest) -> BoxFuture<'_, Result<InvokeResponse, InvokeError>>;
    /// Passes a call of gRPC on as it is; the answer comes as it is.
    fn proxy(&self, _request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, InvokeError>> {
        Box::pin(async { Err(InvokeError::status(Grpc::Unavailable, "the application does not speak gRPC")) })
    }
    fn healthy(&self, timeout: Duration) -> BoxFuture<'_, bool>;
}
