//! Connections of HTTP/2 to one place: shared by as many calls as Dapr lets share one, so that another is made only for more than that.
//!
//! A lease costs one short lock. Connections are made when they are first used, mend themselves after a break, and can be purged when nobody
//! used them for a while; the first ones may be exempt from that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Calls that share a connection.
const SHARED: usize = 2048;

struct Use {
    calls: AtomicUsize,
    /// Since when nobody uses it.
    idle: Mutex<Instant>,
}

impl Use {
    fn idle(&self) -> MutexGuard<'_, Instant> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle_for(&self, limit: Duration) -> bool {
        self.calls.load(Ordering::Relaxed) == 0 && self.idle().elapsed() > limit
    }
}

struct Pooled {
    channel: Channel,
    used: Arc<Use>,
}

/// The right to use a connection for one call.
pub(crate) struct Lease {
    channel: Channel,
    used: Arc<Use>,
}

impl Lease {
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.used.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.used.idle() = Instant::now();
        }
    }
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Pooled>>);

impl Pool {
    fn entries(&self) -> MutexGuard<'_, Vec<Pooled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that has room, or a new one from `make`.
    pub(crate) fn lease<E>(&self, make: impl FnOnce() -> Result<Channel, E>) -> Result<Lease, E> {
        let mut entries = self.entries();
        let lease = |pooled: &Pooled| {
            pooled.used.calls.fetch_add(1, Ordering::Relaxed);
            Lease { channel: pooled.channel.clone(), used: pooled.used.clone() }
        };
        if let Some(pooled) = entries.iter().find(|e| e.used.calls.load(Ordering::Relaxed) < SHARED) {
            return Ok(lease(pooled));
        }
        let used = Arc::new(Use { calls: AtomicUsize::new(0), idle: Mutex::new(Instant::now()) });
        let pooled = Pooled { channel: make()?, used };
        let leased = lease(&pooled);
        entries.push(pooled);
        Ok(leased)
    }

    /// Forgets all connections; calls that use one keep it.
    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    /// Closes what nobody used for `limit`, beyond the first `keep`. Tells how many, and whether any is left.
    pub(crate) fn purge(&self, limit: Duration, keep: usize) -> (usize, bool) {
        let mut entries = self.entries();
        let before = entries.len();
        let mut position = 0;
        entries.retain(|pooled| {
            position += 1;
            position <= keep || !pooled.used.is_idle_for(limit)
        });
        (before - entries.len(), !entries.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn make() -> Result<Channel, Infallible> {
        Ok(tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy())
    }

    #[tokio::test]
    async fn connections_are_shared_grow_and_are_purged() {
        let pool = Pool::default();
        let leases: Vec<_> = (0..=SHARED).map(|_| pool.lease(make).unwrap()).collect();
        assert_eq!(pool.entries().len(), 2);
        assert_eq!(pool.purge(Duration::ZERO, 0), (0, true), "in use");
        drop(leases);
        assert_eq!(pool.purge(Duration::from_secs(60), 0), (0, true), "used a moment ago");
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(pool.purge(Duration::ZERO, 1), (1, true));
        assert_eq!(pool.purge(Duration::ZERO, 0), (1, false));
    }
}
