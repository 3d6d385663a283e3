//! Series of resiliency policies: how often one guarded a call, how often it stepped in, and breaker states.
//!
//! A handle belongs to one policy on one target; a record costs one cache look-up, for a breaker four more.

use std::sync::Arc;

use super::Metrics;
use super::table::Series;

/// Kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Bounds an attempt's time.
    Timeout,
    /// Tries again.
    Retry,
    /// Refuses calls while the target fails.
    CircuitBreaker,
}

impl Policy {
    fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Retry => "retry",
            Self::CircuitBreaker => "circuitbreaker",
        }
    }
}

/// Direction of the guarded call, seen from the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// From the app outwards.
    Outbound,
    /// Towards the app.
    Inbound,
}

impl Flow {
    fn label(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// State of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// One call probes.
    HalfOpen,
    /// Calls are refused.
    Open,
    /// Not known.
    Unknown,
}

impl BreakerState {
    const ALL: [Self; 4] = [Self::Closed, Self::HalfOpen, Self::Open, Self::Unknown];

    /// The value of the `status` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

struct Guarded {
    name: Box<str>,
    namespace: Box<str>,
    policy: Policy,
    flow: Flow,
    target: Box<str>,
}

/// The series of one policy on one target. Cheap to clone and to keep.
#[derive(Clone, Default)]
pub struct ResiliencySeries {
    metrics: Metrics,
    guarded: Option<Arc<Guarded>>,
}

impl Metrics {
    /// A Resiliency resource was loaded.
    pub fn resiliency_loaded(&self, name: &str, namespace: &str) {
        self.count(Series::ResiliencyLoaded, &[name, namespace]);
    }

    /// The series of a policy of the resource `name`. `target` is `app_<id>`, `actor_<type>` or
    /// `<kind>_<component>`.
    #[must_use]
    pub fn resiliency(&self, name: &str, namespace: &str, policy: Policy, flow: Flow, target: &str) -> ResiliencySeries {
        let guarded =
            self.is_enabled().then(|| Arc::new(Guarded { name: name.into(), namespace: namespace.into(), policy, flow, target: target.into() }));
        ResiliencySeries { metrics: self.clone(), guarded }
    }
}

impl ResiliencySeries {
    /// The policy (a timeout or a retry) guards a call that begins now.
    pub fn executed(&self) {
        self.record(Series::ResiliencyCount, "");
    }

    /// The policy (a timeout or a retry) stepped in: the attempt timed out, or a further attempt was made.
    pub fn activated(&self) {
        self.record(Series::ResiliencyActivations, "");
    }

    /// A circuit breaker in `state` guards a call that begins now.
    pub fn breaker_executed(&self, state: BreakerState) {
        self.record(Series::ResiliencyCount, state.label());
        self.breaker_state(state);
    }

    /// A circuit breaker changed to `state`, or refused a call in it.
    pub fn breaker_activated(&self, state: BreakerState) {
        self.record(Series::ResiliencyActivations, state.label());
    }

    /// A circuit breaker is in `state`: that series becomes 1, the other three 0.
    pub fn breaker_state(&self, state: BreakerState) {
        for candidate in BreakerState::ALL {
            self.with(candidate.label(), |metrics, values| {
                metrics.set(Series::ResiliencyBreakerState, values, i64::from(candidate == state));
            });
        }
    }

    fn record(&self, series: Series, status: &str) {
        self.with(status, |metrics, values| metrics.count(series, values));
    }

    fn with(&self, status: &str, record: impl FnOnce(&Metrics, &[&str])) {
        if let Some(guarded) = &self.guarded {
            let Guarded { name, namespace, policy, flow, target } = &**guarded;
            record(&self.metrics, &[name, policy.label(), namespace, flow.label(), target, status]);
        }
    }
}
