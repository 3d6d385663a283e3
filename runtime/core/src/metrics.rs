//! Prometheus series of the sidecar, under the names, labels and buckets that Dapr 1.18 exposes.
//!
//! Recording costs one hash, one shared-lock lookup and a few atomic adds: 120 to 240 ns of CPU; a kept handle such
//! as [`ComponentSeries`] costs 40 ns. `pathMatching` and `rules` come on top. A series appears with its first record.
//! Nothing here fails at run time: a record that cannot be stored (a label that is not printable ASCII or longer
//! than 255 bytes, or a family over its series limit) is dropped and counted in `proa_metrics_dropped_total`.
//! With metrics switched off every call is a no-op and only process figures are rendered.

mod cache;
mod calls;
mod component;
mod guest;
mod http;
mod options;
mod path;
mod patterns;
mod process;
mod registry;
mod resiliency;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

pub use calls::{AclDecision, AclScope, CallShape};
pub use component::{ComponentSeries, Family};
pub use guest::{GuestSeries, SwapOutcome};
pub use options::{HttpOptions, MetricsError, MetricsOptions, Rule, RuleLabel};
pub use resiliency::{BreakerState, Flow, Policy, ResiliencySeries};
pub use table::Series;

use registry::Registry;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers how many tasks live right now; exposed as `go_goroutines`.
type TaskCount = Box<dyn Fn() -> u64 + Send + Sync>;

/// All series of one sidecar. Clones share the same series; a new sidecar in the same process makes its own.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Option<Arc<Registry>>,
    tasks: Arc<OnceLock<TaskCount>>,
}

impl Metrics {
    /// Builds the series from configuration.
    ///
    /// # Errors
    /// [`MetricsError`] for a rule whose pattern is no regular expression and for a path pattern that
    /// Go's `ServeMux` would refuse.
    pub fn new(options: MetricsOptions) -> Result<Self, MetricsError> {
        if !options.enabled {
            return Ok(Self::default());
        }
        let metrics = Self { registry: Some(Arc::new(Registry::new(options)?)), tasks: Arc::default() };
        metrics.expose_rescue_counters();
        Ok(metrics)
    }

    /// Metrics that record nothing.
    #[must_use]
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.registry.is_some()
    }

    /// Names the source of `go_goroutines`, the number of live tasks. The first call wins.
    pub fn count_tasks_with(&self, tasks: impl Fn() -> u64 + Send + Sync + 'static) {
        let _first_wins = self.tasks.set(Box::new(tasks));
    }

    /// The Prometheus text exposition of every series, followed by the figures of this process.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        if let Some(registry) = &self.registry {
            registry.render(&mut text);
        }
        process::render(self.tasks.get().map(|count| count()), &mut text);
        text
    }

    /// Adds `amount` to a counter. `values` follow the row of `series`, without the leading `app_id`.
    pub fn add(&self, series: Series, values: &[&str], amount: u64) {
        self.record(&[series], values, |handles| handles.iter().for_each(|handle| handle.add(amount)));
    }

    /// Adds one to a counter.
    pub fn count(&self, series: Series, values: &[&str]) {
        self.add(series, values, 1);
    }

    /// Sets a gauge.
    pub fn set(&self, series: Series, values: &[&str], level: i64) {
        self.record(&[series], values, |handles| handles.iter().for_each(|handle| handle.set(level)));
    }

    /// Moves a gauge by `change`.
    pub fn shift(&self, series: Series, values: &[&str], change: i64) {
        self.record(&[series], values, |handles| handles.iter().for_each(|handle| handle.shift(change)));
    }

    /// Records one sample of a histogram: milliseconds, bytes or a ratio, as the row says.
    pub fn observe(&self, series: Series, values: &[&str], sample: f64) {
        self.record(&[series], values, |handles| handles.iter().for_each(|handle| handle.observe(sample)));
    }

    /// Looks up the series that share `values` and hands them to `with`, in the order of `bundle`.
    fn record(&self, bundle: &[Series], values: &[&str], with: impl FnOnce(&[registry::Handle])) {
        if let Some(registry) = &self.registry {
            registry.record(bundle, values, with);
        }
    }

    /// Recovery counters are zero in a healthy sidecar; exposing them from the start tells "never happened"
    /// from "not measured".
    fn expose_rescue_counters(&self) {
        let namespace = self.namespace();
        for status in ["janitor_recovered", "janitor_fold_recovered", "stale_turn_rejected"] {
            self.add(Series::WorkflowLocalWakeCount, &[namespace, status], 0);
        }
        for status in ["janitor_redispatched", "janitor_redispatch_escalated", "claim_evicted"] {
            self.add(Series::WorkflowLocalActivityCount, &[namespace, status], 0);
        }
    }

    /// The namespace label of this sidecar; empty when metrics are off.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.registry.as_ref().map_or("", |registry| registry.namespace())
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}
