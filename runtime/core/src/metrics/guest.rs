//! Series that Dapr does not have: what each sandboxed component costs and what happened to it.
//!
//! Every handle is resolved once; an update is one atomic operation.

use std::sync::Arc;
use std::time::Duration;

use super::Metrics;
use super::registry::Handles;
use super::table::Series;

/// How the replacement of a component ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The new generation serves.
    Swapped,
    /// The new generation failed before it served; the old one goes on.
    Refused,
    /// The new generation served and was taken back.
    RolledBack,
    /// The component was removed.
    Removed,
}

impl SwapOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Refused => "refused",
            Self::RolledBack => "rolled_back",
            Self::Removed => "removed",
        }
    }
}

struct Guest {
    component: Box<str>,
    component_type: Box<str>,
    calls: Option<Handles>,
    cpu: Option<Handles>,
    memory: Option<Handles>,
}

/// The series of one component's sandbox. Cheap to clone and to keep.
#[derive(Clone, Default)]
pub struct GuestSeries {
    metrics: Metrics,
    guest: Option<Arc<Guest>>,
}

impl Metrics {
    /// The sandbox series of `component`, whose `spec.type` is `component_type`.
    #[must_use]
    pub fn guest(&self, component: &str, component_type: &str) -> GuestSeries {
        let Some(registry) = &self.registry else {
            return GuestSeries::default();
        };
        let values = [component, component_type];
        let guest = Guest {
            component: component.into(),
            component_type: component_type.into(),
            calls: registry.handles(&[Series::GuestCalls], &values),
            cpu: registry.handles(&[Series::GuestCpu], &values),
            memory: registry.handles(&[Series::GuestMemory], &values),
        };
        GuestSeries { metrics: self.clone(), guest: Some(Arc::new(guest)) }
    }
}

impl GuestSeries {
    /// Calls that entered the sandbox.
    pub fn calls(&self, count: u64) {
        if let Some(handles) = self.guest.as_ref().and_then(|guest| guest.calls.as_ref()) {
            handles.iter().for_each(|handle| handle.add(count));
        }
    }

    /// The sandbox used `spent` more CPU time.
    pub fn cpu(&self, spent: Duration) {
        if let Some(handles) = self.guest.as_ref().and_then(|guest| guest.cpu.as_ref()) {
            handles.iter().for_each(|handle| handle.add_seconds(spent.as_secs_f64()));
        }
    }

    /// The sandbox's instances grew (or shrank) by `change` bytes of linear memory.
    pub fn memory_changed(&self, change: i64) {
        if let Some(handles) = self.guest.as_ref().and_then(|guest| guest.memory.as_ref()) {
            handles.iter().for_each(|handle| handle.shift(change));
        }
    }

    /// The sandbox's instances hold `bytes` of linear memory.
    pub fn memory(&self, bytes: u64) {
        if let Some(handles) = self.guest.as_ref().and_then(|guest| guest.memory.as_ref()) {
            handles.iter().for_each(|handle| handle.set(i64::try_from(bytes).unwrap_or(i64::MAX)));
        }
    }

    /// An instance trapped.
    pub fn trap(&self) {
        self.with(|metrics, guest| metrics.count(Series::GuestTraps, &[&guest.component, &guest.component_type]));
    }

    /// A replacement ended.
    pub fn swap(&self, outcome: SwapOutcome) {
        self.with(|metrics, guest| {
            metrics.count(Series::GuestSwaps, &[&guest.component, &guest.component_type, outcome.label()]);
        });
    }

    /// `generation` serves now.
    pub fn generation(&self, generation: u64) {
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        self.with(|metrics, guest| {
            metrics.set(Series::GuestGeneration, &[&guest.component, &guest.component_type], generation);
        });
    }

    /// The component tried something that `grant` would allow and does not have.
    pub fn denied(&self, grant: &str) {
        self.with(|metrics, guest| metrics.count(Series::GuestDenied, &[&guest.component, &guest.component_type, grant]));
    }

    /// `lines` of the component's log were dropped by the rate limit.
    pub fn log_dropped(&self, lines: u64) {
        self.with(|metrics, guest| {
            metrics.add(Series::GuestLogDropped, &[&guest.component, &guest.component_type], lines);
        });
    }

    fn with(&self, record: impl FnOnce(&Metrics, &Guest)) {
        if let Some(guest) = &self.guest {
            record(&self.metrics, guest);
        }
    }
}
