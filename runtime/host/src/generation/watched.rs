//! A call whose deadline is kept also when its caller goes away: a policy's timeout, or a client that has had enough, is usually shorter, and
//! an instance that never answers would never be found out.

use super::instances::Plan;
use super::supervise::{Seat, replace};
use crate::driver::{CallError, Pending};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const WHY: &str = "a call did not return within its deadline";

/// See the module's text.
pub(super) struct Watched<'a, R: Send + 'static> {
    plan: &'a Arc<Plan>,
    seat: &'a Arc<Seat>,
    /// None once it is answered or late.
    pending: Option<Pending<R>>,
    begun: Instant,
    limit: Option<Duration>,
}

impl<'a, R: Send + 'static> Watched<'a, R> {
    pub fn new(plan: &'a Arc<Plan>, seat: &'a Arc<Seat>, pending: Pending<R>, limit: Option<Duration>) -> Self {
        Self { plan, seat, pending: Some(pending), begun: Instant::now(), limit }
    }

    pub async fn answer(mut self) -> Result<R, CallError> {
        let Some(pending) = &mut self.pending else { return Err(CallError::Unsupported("two answers")) };
        let outcome = pending.answer(self.limit).await;
        self.pending = None;
        if matches!(outcome, Err(CallError::Deadline(_))) {
            late(self.plan, self.seat);
        }
        outcome
    }
}

impl<R: Send + 'static> Drop for Watched<'_, R> {
    fn drop(&mut self) {
        let (Some(mut pending), Some(limit)) = (self.pending.take(), self.limit) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (plan, seat, left) = (self.plan.clone(), self.seat.clone(), limit.saturating_sub(self.begun.elapsed()));
        runtime.spawn(async move {
            if matches!(pending.answer(Some(left)).await, Err(CallError::Deadline(_))) {
                late(&plan, &seat);
            }
        });
    }
}

fn late(plan: &Arc<Plan>, seat: &Arc<Seat>) {
    plan.stats.deadlines.fetch_add(1, Ordering::Relaxed);
    replace(plan, seat, WHY);
}
