//! What applies to one call, and the run of a call under it: `retry(breaker(timeout(attempt)))`.
//!
//! Without policies a run is the attempt itself. An attempt past its timeout is dropped; what it left with others they finish or give
//! up by themselves. Pauses end with the caller, or with the token that it gave.

use super::Stopped;
use super::breaker::Breaker;
use super::retry::{Pauses, matches};
use super::set::{Class, Guard};
use crate::metrics::Flow;
use proa_resources::go_duration;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What the outcome of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// A failure: it is tried again.
    Failure,
    /// A failure with a status, HTTP's from 100 on, gRPC's up to 16: it is tried again if the policy's lists have it.
    Code(i32),
    /// A failure that counts and is not tried again.
    Permanent,
}

/// The policies of one call.
#[derive(Clone, Default)]
pub struct Policy {
    guard: Option<Arc<Guard>>,
    breaker: Option<Arc<Breaker>>,
    /// What of the target is called; for the log.
    part: String,
}

/// One run's own part.
struct Run<'a> {
    policy: &'a Policy,
    guard: &'a Guard,
    timed_out: bool,
}

impl Policy {
    /// No policy: every call is one attempt.
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn new(guard: Arc<Guard>, breaker: Option<Arc<Breaker>>, part: String) -> Self {
        Self { guard: Some(guard), breaker, part }
    }

    /// Whether there may be more than one attempt: what is sent has to be kept for that.
    pub fn retries(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.retries_at_all())
    }

    /// Whether there is anything that guards the call.
    pub fn applies(&self) -> bool {
        self.guard.is_some()
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.guard.as_ref().and_then(|guard| guard.timeout)
    }

    /// Runs `attempt`, which is told its number from one on. `judge` says what an outcome means. The last outcome is the result, whatever
    /// it means, unless a policy stood before it.
    pub async fn run<O, F, Fut>(&self, judge: impl Fn(&O) -> Verdict, attempt: F) -> Result<O, Stopped>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = O>,
    {
        self.run_until(None, judge, attempt).await
    }

    /// The same; after `end` no further attempt begins.
    pub async fn run_until<O, F, Fut>(&self, end: Option<&CancellationToken>, judge: impl Fn(&O) -> Verdict, mut attempt: F) -> Result<O, Stopped>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = O>,
    {
        let Some(guard) = self.guard.as_deref() else { return Ok(attempt(1).await) };
        let begun = Instant::now();
        let mut run = Run { policy: self, guard, timed_out: false };
        run.count();
        let mut pauses = guard.retry.as_deref().map(Pauses::new);
        let mut number = 1u32;
        loop {
            let (outcome, verdict) = run.once(&judge, || attempt(number)).await;
            if verdict == Verdict::Success && number > 1 {
                tracing::info!(target: "dapr.runtime", "Recovered processing operation {self} after {number} attempts");
            }
            let again = match verdict {
                Verdict::Success | Verdict::Permanent => false,
                Verdict::Failure => true,
                Verdict::Code(code) => guard.retry.as_deref().is_some_and(|r| matches(r, code)),
            };
            let pause = pauses.as_mut().filter(|_| again).and_then(|p| p.next(begun.elapsed(), rand::random()));
            let Some(pause) = pause else { return outcome };
            if number == 1 {
                guard.retries.activated();
                tracing::warn!(target: "dapr.runtime", "Error processing operation {self}. Retrying in {}…", go_duration::format(pause));
            }
            // What the failed attempt still holds, a connection perhaps, is not held through the pause.
            drop(outcome);
            wait(pause, end).await?;
            number = number.saturating_add(1);
        }
    }
}

async fn wait(pause: Duration, end: Option<&CancellationToken>) -> Result<(), Stopped> {
    let Some(end) = end else {
        tokio::time::sleep(pause).await;
        return Ok(());
    };
    tokio::select! {
        biased;
        () = end.cancelled() => Err(Stopped::Ended),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

impl Run<'_> {
    /// Counts what guards this call.
    fn count(&self) {
        if self.guard.timeout.is_some() {
            self.guard.timeouts.executed();
        }
        if self.guard.retry.is_some() {
            self.guard.retries.executed();
        }
        if let Some(breaker) = &self.policy.breaker {
            self.guard.breakers.breaker_executed(breaker.state(Instant::now()));
        }
    }

    /// One attempt within breaker and timeout.
    async fn once<O, Fut: Future<Output = O>>(
        &mut self,
        judge: impl Fn(&O) -> Verdict,
        attempt: impl FnOnce() -> Fut,
    ) -> (Result<O, Stopped>, Verdict) {
        let now = Instant::now();
        let before = self.policy.breaker.as_ref().map(|b| b.state(now));
        let ticket = match self.policy.breaker.as_ref().map(|b| b.enter(now)).transpose() {
            Ok(ticket) => ticket,
            Err(refused) => return (Err(refused), Verdict::Permanent),
        };
        let outcome = match self.guard.timeout {
            Some(limit) => tokio::time::timeout(limit, attempt()).await.map_err(|_| Stopped::Timeout),
            None => Ok(attempt().await),
        };
        let verdict = outcome.as_ref().map_or(Verdict::Failure, judge);
        if outcome.is_err() && !std::mem::replace(&mut self.timed_out, true) {
            self.guard.timeouts.activated();
        }
        let now = Instant::now();
        if let Some(ticket) = ticket {
            ticket.settle(verdict == Verdict::Success, now);
        }
        let after = self.policy.breaker.as_ref().map(|b| b.state(now));
        if let Some(state) = after.filter(|_| after != before) {
            self.guard.breakers.breaker_activated(state);
            self.guard.breakers.breaker_state(state);
        }
        (outcome, verdict)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(guard) = &self.guard else { return f.write_str("none") };
        let (target, part) = (&guard.target, &self.part);
        match guard.class {
            Class::App => write!(f, "endpoint[{target}, {part}]"),
            Class::Actor(_) => write!(f, "actor[{target}, {part}]"),
            Class::Component(_, Flow::Outbound) => write!(f, "component[{target}] output"),
            Class::Component(_, Flow::Inbound) => write!(f, "component[{target}] input"),
            Class::BuiltIn(_) => f.write_str(target),
        }
    }
}

/// What several attempts need and each takes: a copy is made as long as `copy` makes one.
pub struct Spare<T> {
    next: Mutex<Option<T>>,
    copy: fn(&T) -> Option<T>,
}

impl<T> Spare<T> {
    pub fn new(value: T, copy: fn(&T) -> Option<T>) -> Self {
        Self { next: Mutex::new(Some(value)), copy }
    }

    /// For attempts of which there is only one when the policy does not retry.
    pub fn cloned(value: T, policy: &Policy) -> Self
    where
        T: Clone,
    {
        Self::new(value, if policy.retries() { |value| Some(value.clone()) } else { |_| None })
    }

    /// None: it was taken and could not be copied.
    pub fn take(&self) -> Option<T> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let value = next.take()?;
        *next = (self.copy)(&value);
        Some(value)
    }

    /// Whether another attempt could take it.
    pub fn is_left(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
