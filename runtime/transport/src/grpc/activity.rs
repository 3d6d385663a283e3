//! Whether a connection is of use: how many of its calls are open, and since when there is none.
//!
//! A call costs two atomic counts and, if it was the only one, a look at the clock. Whoever waits for a connection to be idle looks again
//! when it could be at the earliest, so that calls wake nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    open: AtomicUsize,
    /// When the last call ended, in milliseconds since `begun`.
    ended: AtomicU64,
}

/// A call that is open.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), open: AtomicUsize::new(0), ended: AtomicU64::new(0) })
    }

    pub(super) fn call(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Returns once no call has been open for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let since = match self.open.load(Ordering::Acquire) {
                0 => self.begun + Duration::from_millis(self.ended.load(Ordering::Acquire)),
                _ => Instant::now(),
            };
            let due = since + limit;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.ended.fetch_max(now, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_connection_is_idle_some_time_after_its_last_call() {
        let activity = Activity::new();
        let begun = Instant::now();
        activity.idle(LIMIT).await;
        assert!(begun.elapsed() >= LIMIT - Duration::from_millis(1), "without any call it is its start that counts");

        let (one, two) = (activity.call(), activity.call());
        drop(one);
        assert!(tokio::time::timeout(LIMIT * 3, activity.idle(LIMIT)).await.is_err(), "a call is open");
        let ended = Instant::now();
        drop(two);
        activity.idle(LIMIT).await;
        // Ends are noted by the millisecond.
        assert!(ended.elapsed() >= LIMIT - Duration::from_millis(2), "{:?}", ended.elapsed());
    }
}
