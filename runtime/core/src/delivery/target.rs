//! What the messages of a subscription are for: events on their way to the application, or the internal topic of an outbox.

use super::batch::Batching;
use super::message::{Route, deliver};
use super::pull::WINDOW;
use super::relay::Relay;
use crate::prepare::Prepared;
use crate::runtime::Runtime;
use crate::slots::Slot;
use proa_host::kinds::pubsub::{Message, Verdict};
use proa_model::Metadata;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// See the module's text.
pub(super) enum Target {
    Events(Route),
    Relay(Relay),
}

impl Target {
    pub fn broker_topic(&self, runtime: &Runtime, prepared: &Prepared) -> String {
        let topic = match self {
            Self::Events(route) => &route.source.topic,
            Self::Relay(relay) => &relay.topic,
        };
        super::broker_topic(runtime, prepared.namespaced, topic)
    }

    pub fn metadata(&self) -> Metadata {
        match self {
            Self::Events(route) => route.source.metadata.clone(),
            Self::Relay(_) => Metadata::new(),
        }
    }

    pub fn batching(&self) -> Option<Batching> {
        match self {
            Self::Events(route) => route.batching,
            Self::Relay(_) => None,
        }
    }

    /// One batch may fill while another one is with the application.
    pub fn window(&self) -> usize {
        self.batching().map_or(WINDOW, |b| WINDOW.max(b.most.saturating_mul(2)))
    }

    /// Whether the lanes count. The marker of one transaction says nothing of another's.
    pub fn ordered(&self) -> bool {
        matches!(self, Self::Events(_))
    }

    /// None: nothing is said to the broker, which will hand the message out again. After `over` nothing is tried again.
    pub async fn handle(&self, runtime: &Arc<Runtime>, slot: &Slot, message: Message, over: &CancellationToken) -> Option<Verdict> {
        match self {
            Self::Events(route) => deliver(runtime, slot, route, message, over).await,
            Self::Relay(relay) => Some(relay.handle(runtime, message).await),
        }
    }
}
