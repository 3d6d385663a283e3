//! The pauses between attempts: how long each is, and when there are no more.

use proa_resources::resiliency::{Retry, RetryKind};
use std::time::Duration;

/// How much longer each exponential pause is than the one before it.
const GROWTH: f64 = 1.5;
/// How much of a pause chance takes away or adds.
const SPREAD: f64 = 0.5;

/// The pauses of one run.
pub(super) struct Pauses<'a> {
    retry: &'a Retry,
    made: i64,
    interval: Duration,
}

impl<'a> Pauses<'a> {
    pub fn new(retry: &'a Retry) -> Self {
        Self { retry, made: 0, interval: retry.initial_interval }
    }

    /// The next pause; none: that was the last attempt. `elapsed` is the time since the first attempt began, `chance` lies in 0..1.
    pub fn next(&mut self, elapsed: Duration, chance: f64) -> Option<Duration> {
        let retry = self.retry;
        if retry.max_retries >= 0 && self.made >= retry.max_retries {
            return None;
        }
        self.made = self.made.saturating_add(1);
        if retry.kind == RetryKind::Constant {
            return Some(retry.duration);
        }
        let pause = self.interval.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * chance.clamp(0.0, 1.0));
        self.interval = self.interval.mul_f64(GROWTH).min(retry.max_interval);
        (retry.max_elapsed.is_zero() || elapsed + pause <= retry.max_elapsed).then_some(pause)
    }
}

/// Whether the policy's lists allow another attempt after this status: gRPC's up to 16, HTTP's from 100 to 599.
pub(super) fn matches(retry: &Retry, code: i32) -> bool {
    let list = match code {
        0..=16 => &retry.matching.grpc,
        100..=599 => &retry.matching.http,
        _ => return false,
    };
    list.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(code)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proa_resources::resiliency::{CodeRange, RetryMatching};

    fn retry(kind: RetryKind, max_retries: i64) -> Retry {
        Retry {
            kind,
            duration: Duration::from_secs(5),
            initial_interval: Duration::from_millis(500),
            max_interval: Duration::from_secs(1),
            max_elapsed: Duration::from_secs(60),
            max_retries,
            matching: RetryMatching::default(),
        }
    }

    #[test]
    fn constant_pauses_end_after_the_retries() {
        let policy = retry(RetryKind::Constant, 2);
        let mut pauses = Pauses::new(&policy);
        let all: Vec<_> = std::iter::from_fn(|| pauses.next(Duration::from_secs(9999), 0.9)).collect();
        assert_eq!(all, [Duration::from_secs(5); 2]);
        assert_eq!(Pauses::new(&retry(RetryKind::Constant, 0)).next(Duration::ZERO, 0.0), None);
        let endless = retry(RetryKind::Constant, -1);
        let mut pauses = Pauses::new(&endless);
        assert!((0..10_000).all(|_| pauses.next(Duration::from_secs(9999), 0.0).is_some()));
    }

    #[test]
    fn exponential_pauses_grow_to_a_limit_and_end_with_the_time() {
        let policy = retry(RetryKind::Exponential, -1);
        let mut pauses = Pauses::new(&policy);
        let millis: Vec<u128> = (0..4).map(|_| pauses.next(Duration::ZERO, 0.5).unwrap().as_millis()).collect();
        assert_eq!(millis, [500, 750, 1000, 1000]);
        assert_eq!(pauses.next(Duration::ZERO, 0.0).unwrap().as_millis(), 500);
        assert_eq!(pauses.next(Duration::ZERO, 1.0).unwrap().as_millis(), 1500);
        assert!(pauses.next(Duration::from_secs(59), 0.5).is_some());
        assert!(pauses.next(Duration::from_millis(59_001), 0.5).is_none());
    }

    #[test]
    fn each_code_is_looked_up_in_its_own_list() {
        let range = |start, end| Some(vec![CodeRange { start, end }]);
        let mut policy = retry(RetryKind::Constant, 1);
        assert!(matches(&policy, 14) && matches(&policy, 500) && !matches(&policy, 20) && !matches(&policy, 600));
        policy.matching.http = range(500, 599);
        assert!(matches(&policy, 3) && matches(&policy, 503) && !matches(&policy, 404));
        policy.matching.grpc = range(14, 14);
        assert!(!matches(&policy, 3) && matches(&policy, 14));
        policy.matching.http = Some(Vec::new());
        assert!(!matches(&policy, 503));
    }
}
