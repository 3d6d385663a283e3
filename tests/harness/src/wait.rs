//! Waiting on a state instead of sleeping.
//!
//! Every wait polls a condition and has a deadline; on expiry it panics with what was waited for, so that a hanging test
//! names its reason.

use std::future::Future;
use std::time::{Duration, Instant};

/// The pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(10);

/// Polls `look` until it yields a value; panics with `what` after `limit`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up after {limit:?} waiting for {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Watches for the whole of `span` that `holds` stays true: for asserting that something does *not* happen.
pub async fn stays<F>(what: &str, span: Duration, mut holds: F)
where
    F: FnMut() -> bool,
{
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(holds(), "no longer true: {what}");
        tokio::time::sleep(POLL).await;
    }
}
