//! Circuit breakers: they count how calls end, refuse calls while the target fails, and let a few through to see whether it is well again.
//!
//! A breaker costs one short lock before and one after a call. What was counted in an earlier state does not count in a later one; a
//! call that is given up half-way counts as a failure, so that a breaker never waits for it.

use super::Stopped;
use crate::metrics::BreakerState;
use cel::{Context, Program, Value};
use proa_resources::resiliency::CircuitBreaker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a condition may refer to.
const VARIABLES: [&str; 5] = ["requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures"];

/// A policy with its condition compiled.
pub(super) struct Template {
    pub name: String,
    pub policy: CircuitBreaker,
    trip: Option<Program>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u32,
    successes: u32,
    failures: u32,
    successes_in_a_row: u32,
    failures_in_a_row: u32,
}

struct Inner {
    state: BreakerState,
    /// Which stretch of a state the counts belong to.
    stretch: u64,
    counts: Counts,
    /// When the stretch is over by itself.
    over: Option<Instant>,
}

/// See the module's text.
pub(super) struct Breaker {
    name: String,
    pub template: Arc<Template>,
    inner: Mutex<Inner>,
}

/// A call that was let through.
pub(super) struct Ticket<'a> {
    breaker: &'a Breaker,
    stretch: u64,
    settled: bool,
}

impl Template {
    /// The error is the compiler's own.
    pub fn new(name: &str, policy: &CircuitBreaker) -> Result<Self, String> {
        let trip = policy.trip.as_deref().map(Program::compile).transpose().map_err(|e| e.to_string())?;
        Ok(Self { name: name.to_owned(), policy: policy.clone(), trip })
    }

    /// Names in the condition that never have a value: with one, the breaker never opens.
    pub fn unknown_names(&self) -> Vec<String> {
        let Some(program) = &self.trip else { return Vec::new() };
        program.references().variables().into_iter().filter(|name| !VARIABLES.contains(name)).map(str::to_owned).collect()
    }

    fn trips(&self, counts: &Counts) -> bool {
        let Some(program) = &self.trip else { return counts.failures_in_a_row > 5 };
        let values = [counts.requests, counts.successes, counts.failures, counts.successes_in_a_row, counts.failures_in_a_row];
        let mut context = Context::default();
        for (name, value) in VARIABLES.into_iter().zip(values) {
            context.add_variable_from_value(name, i64::from(value));
        }
        // A condition that cannot be evaluated is no reason to refuse calls.
        matches!(program.execute(&context), Ok(Value::Bool(true)))
    }
}

impl Breaker {
    pub fn new(name: String, template: Arc<Template>, now: Instant) -> Self {
        let mut inner = Inner { state: BreakerState::Closed, stretch: 0, counts: Counts::default(), over: None };
        inner.begin(&template, now);
        Self { name, template, inner: Mutex::new(inner) }
    }

    /// The state at this moment.
    pub fn state(&self, now: Instant) -> BreakerState {
        self.current(now).state
    }

    /// Asks to be let through. The ticket has to be settled; one that is dropped counts as a failure.
    pub fn enter(&self, now: Instant) -> Result<Ticket<'_>, Stopped> {
        let mut inner = self.current(now);
        match inner.state {
            BreakerState::Open => return Err(Stopped::Open),
            BreakerState::HalfOpen if inner.counts.requests >= self.template.policy.max_requests => return Err(Stopped::TooManyRequests),
            _ => inner.counts.requests = inner.counts.requests.saturating_add(1),
        }
        Ok(Ticket { breaker: self, stretch: inner.stretch, settled: false })
    }

    /// The inner part, after what time alone changes.
    fn current(&self, now: Instant) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.over.is_some_and(|over| over < now) {
            match inner.state {
                BreakerState::Open => self.turn(&mut inner, BreakerState::HalfOpen, now),
                _ => inner.begin(&self.template, now),
            }
        }
        inner
    }

    fn turn(&self, inner: &mut Inner, state: BreakerState, now: Instant) {
        let (from, to) = (inner.state.label(), state.label());
        inner.state = state;
        inner.begin(&self.template, now);
        tracing::info!(target: "dapr.runtime", "Circuit breaker {:?} changed state from {from} to {to}", self.name);
    }

    fn settle(&self, stretch: u64, success: bool, now: Instant) {
        let mut inner = self.current(now);
        if inner.stretch != stretch {
            return;
        }
        inner.counts.settle(success);
        let next = match (inner.state, success) {
            (BreakerState::HalfOpen, true) if inner.counts.successes_in_a_row >= self.template.policy.max_requests => BreakerState::Closed,
            (BreakerState::HalfOpen, false) => BreakerState::Open,
            (BreakerState::Closed, false) if self.template.trips(&inner.counts) => BreakerState::Open,
            _ => return,
        };
        self.turn(&mut inner, next, now);
    }
}

impl Counts {
    fn settle(&mut self, success: bool) {
        let (total, row, other) = match success {
            true => (&mut self.successes, &mut self.successes_in_a_row, &mut self.failures_in_a_row),
            false => (&mut self.failures, &mut self.failures_in_a_row, &mut self.successes_in_a_row),
        };
        *total = total.saturating_add(1);
        *row = row.saturating_add(1);
        *other = 0;
    }
}

impl Inner {
    fn begin(&mut self, template: &Template, now: Instant) {
        self.stretch += 1;
        self.counts = Counts::default();
        let policy = &template.policy;
        self.over = match self.state {
            BreakerState::Closed => now.checked_add(policy.interval).filter(|_| !policy.interval.is_zero()),
            BreakerState::Open => now.checked_add(policy.timeout),
            _ => None,
        };
    }
}

impl Ticket<'_> {
    pub fn settle(mut self, success: bool, now: Instant) {
        self.settled = true;
        self.breaker.settle(self.stretch, success, now);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.settle(self.stretch, false, Instant::now());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(max_requests: u32, interval: u64, trip: Option<&str>, now: Instant) -> Breaker {
        let policy = CircuitBreaker { max_requests, interval: Duration::from_secs(interval), timeout: 10 * SECOND, trip: trip.map(str::to_owned) };
        Breaker::new("b".into(), Arc::new(Template::new("b", &policy).unwrap()), now)
    }

    fn calls(breaker: &Breaker, outcomes: &[bool], now: Instant) {
        outcomes.iter().for_each(|success| breaker.enter(now).unwrap().settle(*success, now));
    }

    #[test]
    fn six_failures_in_a_row_open_it() {
        let now = Instant::now();
        let breaker = breaker(1, 0, None, now);
        calls(&breaker, &[false, false, false, false, false, true, false, false, false, false, false], now);
        assert_eq!(breaker.state(now + 1000 * SECOND), BreakerState::Closed);
        calls(&breaker, &[false], now);
        assert_eq!(breaker.enter(now).err(), Some(Stopped::Open));
        assert_eq!(breaker.state(now + 10 * SECOND), BreakerState::Open);
        assert_eq!(breaker.state(now + 11 * SECOND), BreakerState::HalfOpen);
    }

    #[test]
    fn half_open_lets_as_many_through_as_it_may() {
        let now = Instant::now();
        let breaker = breaker(2, 0, Some("consecutiveFailures >= 1"), now);
        calls(&breaker, &[false], now);
        let later = now + 11 * SECOND;
        let (first, second) = (breaker.enter(later).unwrap(), breaker.enter(later).unwrap());
        assert_eq!(breaker.enter(later).err(), Some(Stopped::TooManyRequests));
        first.settle(true, later);
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        second.settle(true, later);
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let now = Instant::now();
        let breaker = breaker(1, 0, Some("totalFailures > 0"), now);
        calls(&breaker, &[false], now);
        let later = now + 11 * SECOND;
        calls(&breaker, &[false], later);
        assert_eq!(breaker.state(later + 10 * SECOND), BreakerState::Open);
        // Given up half-way: the breaker does not wait for it.
        drop(breaker.enter(later + 11 * SECOND).unwrap());
        assert_eq!(breaker.state(Instant::now()), BreakerState::Open);
    }

    #[test]
    fn calls_of_an_earlier_stretch_do_not_count() {
        let now = Instant::now();
        let breaker = breaker(1, 5, Some("totalFailures >= 2"), now);
        let old = breaker.enter(now).unwrap();
        calls(&breaker, &[false], now);
        let later = now + 6 * SECOND;
        old.settle(false, later);
        calls(&breaker, &[false], later);
        assert_eq!(breaker.state(later), BreakerState::Closed, "the interval cleared the counts");
        calls(&breaker, &[false], later);
        assert_eq!(breaker.state(later), BreakerState::Open);
    }

    #[test]
    fn conditions_see_all_counts() {
        for (trip, opens) in [
            ("requests > 4 && double(totalFailures) / double(requests) >= 0.6", true),
            ("totalFailures * 100 / requests >= 60 && requests >= 5", true),
            ("totalSuccesses > 1 && consecutiveFailures == 1 && consecutiveSuccesses == 0", true),
            ("requests > 5", false),
            ("unknown > 1", false),
            ("requests", false),
        ] {
            let now = Instant::now();
            let breaker = breaker(1, 0, Some(trip), now);
            calls(&breaker, &[false, true, false, true], now);
            assert_eq!(breaker.state(now), BreakerState::Closed, "{trip}");
            calls(&breaker, &[false], now);
            assert_eq!(breaker.state(now) == BreakerState::Open, opens, "{trip}");
        }
        let policy = |trip: &str| CircuitBreaker { max_requests: 1, interval: SECOND, timeout: SECOND, trip: Some(trip.into()) };
        assert!(Template::new("b", &policy("requests >")).is_err());
        assert_eq!(Template::new("b", &policy("request > 1 || requests > 2")).unwrap().unknown_names(), ["request"]);
    }
}
