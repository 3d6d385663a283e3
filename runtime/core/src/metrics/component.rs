//! Series of the building blocks: what was asked of which component, how it ended and how long it took.
//!
//! [`Metrics::component`] hands out a handle whose `observe` costs three atomic adds; asking for the handle on
//! every call costs one cache look-up more.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Metrics;
use super::registry::Handles;
use super::table::Series;

/// Building blocks that are counted per component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// State stores; operations `get`, `set`, `delete`, `bulk_get`, `bulk_delete`, `query`, `transaction`.
    State,
    /// Configuration stores; operations `get`, `subscribe`, `unsubscribe`.
    Configuration,
    /// Secret stores; operations `get`, `bulk_get`.
    Secret,
    /// Crypto providers; operation `crypto_op`.
    Crypto,
    /// Output bindings; the operation is the binding's own.
    OutputBinding,
    /// Input bindings; no operation.
    InputBinding,
    /// Conversation components; no operation.
    Conversation,
    /// Publishing to a broker; the subject is the topic.
    PubsubEgress,
}

impl Family {
    fn bundle(self) -> [Series; 2] {
        match self {
            Self::State => [Series::StateCount, Series::StateLatency],
            Self::Configuration => [Series::ConfigurationCount, Series::ConfigurationLatency],
            Self::Secret => [Series::SecretCount, Series::SecretLatency],
            Self::Crypto => [Series::CryptoCount, Series::CryptoLatency],
            Self::OutputBinding => [Series::OutputBindingCount, Series::OutputBindingLatency],
            Self::InputBinding => [Series::InputBindingCount, Series::InputBindingLatency],
            Self::Conversation => [Series::ConversationCount, Series::ConversationLatency],
            Self::PubsubEgress => [Series::PubsubEgressCount, Series::PubsubEgressLatency],
        }
    }

    fn has_subject(self) -> bool {
        !matches!(self, Self::InputBinding | Self::Conversation)
    }
}

/// The two outcomes of one operation, each resolved when it first happens.
pub(super) struct Slot {
    family: Family,
    component: Box<str>,
    subject: Box<str>,
    outcomes: [OnceLock<Option<Handles>>; 2],
}

/// The series of one operation on one component. Cheap to clone and to keep.
#[derive(Clone, Default)]
pub struct ComponentSeries {
    metrics: Metrics,
    slot: Option<Arc<Slot>>,
}

impl ComponentSeries {
    /// Counts one call and, if it took any time at all, its latency.
    pub fn observe(&self, success: bool, elapsed: Duration) {
        let (Some(slot), Some(registry)) = (&self.slot, &self.metrics.registry) else {
            return;
        };
        let [failed, succeeded] = &slot.outcomes;
        let outcome = if success { succeeded } else { failed };
        let handles = outcome.get_or_init(|| {
            let label = truth(success);
            let (namespace, bundle) = (registry.namespace(), slot.family.bundle());
            if slot.family.has_subject() {
                registry.handles(&bundle, &[&slot.component, namespace, &slot.subject, label])
            } else {
                registry.handles(&bundle, &[&slot.component, namespace, label])
            }
        });
        let sample = millis(elapsed);
        handles.iter().flat_map(|handles| handles.iter()).for_each(|handle| handle.event(sample));
    }
}

impl Metrics {
    /// The series of `subject` (an operation, or a topic for [`Family::PubsubEgress`]) on `component`.
    /// `subject` is ignored by families without one.
    #[must_use]
    pub fn component(&self, family: Family, component: &str, subject: &str) -> ComponentSeries {
        let Some(registry) = &self.registry else {
            return ComponentSeries::default();
        };
        let subject = if family.has_subject() { subject } else { "" };
        let slot = registry.components.with(
            family as u32,
            &[component, subject],
            || Some(Arc::new(Slot { family, component: component.into(), subject: subject.into(), outcomes: Default::default() })),
            Arc::clone,
        );
        ComponentSeries { metrics: self.clone(), slot }
    }

    /// A message was delivered to the app, or could not be. `process_status` is what became of it (`success`,
    /// `retry`, `drop`); `status` is what the app answered and repeats `process_status` when empty. Zero `elapsed`
    /// means that the app was not reached.
    pub fn pubsub_ingress(&self, component: &str, topic: &str, process_status: &str, status: &str, elapsed: Duration) {
        let status = if status.is_empty() { process_status } else { status };
        let values = [component, self.namespace(), topic, process_status, status];
        self.event(&[Series::PubsubIngressCount, Series::PubsubIngressLatency], &values, millis(elapsed));
    }

    /// A bulk delivery to the app ended.
    pub fn pubsub_ingress_bulk(&self, component: &str, topic: &str, elapsed: Duration) {
        let values = [component, self.namespace(), topic, ""];
        self.event(&[Series::BulkIngressCount, Series::BulkIngressLatency], &values, millis(elapsed));
    }

    /// `events` messages of a bulk delivery ended with `process_status`.
    pub fn pubsub_ingress_bulk_entries(&self, component: &str, topic: &str, process_status: &str, events: u64) {
        if events > 0 {
            self.add(Series::BulkIngressEventCount, &[component, self.namespace(), topic, process_status], events);
        }
    }

    /// A bulk publish call ended; `published` of its messages reached the broker, which may be some of them even
    /// when the call as a whole failed.
    pub fn pubsub_egress_bulk(&self, component: &str, topic: &str, success: bool, published: u64, elapsed: Duration) {
        let values = [component, self.namespace(), topic, truth(success)];
        self.event(&[Series::BulkEgressCount, Series::BulkEgressLatency], &values, millis(elapsed));
        if published > 0 {
            self.add(Series::BulkEgressEventCount, &[component, self.namespace(), topic, truth(true)], published);
        }
    }

    /// A job was handed to the app. Dapr's only `operation` is `job_trigger_op`.
    pub fn job(&self, operation: &str, success: bool, elapsed: Duration) {
        let count = if success { Series::JobSuccessCount } else { Series::JobFailureCount };
        self.count(count, &[self.namespace(), operation]);
        self.event(&[Series::JobLatency], &[self.namespace(), operation, truth(success)], millis(elapsed));
    }

    /// A component became usable. `component_type` is the resource's `spec.type`.
    pub fn component_initialized(&self, component_type: &str) {
        self.count(Series::ComponentInit, &[component_type]);
    }

    /// A component could not be made (`reason` `creation`) or initialised (`init`).
    pub fn component_init_failed(&self, component_type: &str, reason: &str, name: &str) {
        self.count(Series::ComponentInitFail, &[component_type, reason, name]);
    }

    /// One event of a count and its latency. Without a sample only the first of `bundle`, the count, is recorded.
    pub(super) fn event(&self, bundle: &[Series], values: &[&str], sample: Option<f64>) {
        let bundle = if sample.is_some() { bundle } else { bundle.get(..1).unwrap_or_default() };
        self.record(bundle, values, |handles| handles.iter().for_each(|handle| handle.event(sample)));
    }
}

pub(super) fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Milliseconds with their fraction; nothing for a call that took no time, as in Dapr.
pub(super) fn millis(elapsed: Duration) -> Option<f64> {
    (!elapsed.is_zero()).then_some(elapsed.as_secs_f64() * 1e3)
}
