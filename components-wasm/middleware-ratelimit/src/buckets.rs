//! Token buckets by client and path. One call costs a hash and a map look-up; buckets that are full again are forgotten in
//! sweeps whose cost is spread over the calls between them. Never fails: when too many buckets are in use, newcomers share one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The most buckets that are kept.
const MOST: usize = 500_000;
/// The fewest buckets at which a sweep is worth it.
const FIRST_SWEEP: usize = 1024;

struct Bucket {
    tokens: f64,
    updated: Duration,
}

/// All buckets of one limit.
pub struct Buckets {
    rate: f64,
    size: f64,
    /// Keys are two independent hashes: paths are as long as clients like, and their choice should not cost memory.
    buckets: HashMap<(u64, u64), Bucket>,
    hashers: (RandomState, RandomState),
    sweep_at: usize,
    most: usize,
}

/// The outcome of one request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let through; whole tokens that are left.
    Pass(u64),
    /// The bucket is empty.
    Limited,
}

impl Buckets {
    /// `rate` in requests a second, positive and finite.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            size: rate.max(1.0).floor(),
            buckets: HashMap::new(),
            hashers: (RandomState::new(), RandomState::new()),
            sweep_at: FIRST_SWEEP,
            most: MOST,
        }
    }

    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes a token. `now` counts from any fixed moment.
    pub fn take(&mut self, client: &str, path: &str, now: Duration) -> Outcome {
        if self.buckets.len() >= self.sweep_at {
            self.sweep(now);
        }
        let mut key = (self.hashers.0.hash_one((client, path)), self.hashers.1.hash_one((client, path)));
        if self.buckets.len() >= self.most && !self.buckets.contains_key(&key) {
            key = (0, 0);
        }
        let (rate, size) = (self.rate, self.size);
        let bucket = self.buckets.entry(key).or_insert(Bucket { tokens: size, updated: now });
        let tokens = bucket.at(now, rate, size) - 1.0;
        if tokens < 0.0 {
            return Outcome::Limited;
        }
        *bucket = Bucket { tokens, updated: now };
        Outcome::Pass(tokens as u64)
    }

    /// A bucket that is full is the same as none.
    fn sweep(&mut self, now: Duration) {
        let (rate, size) = (self.rate, self.size);
        self.buckets.retain(|_, b| b.at(now, rate, size) < size);
        self.sweep_at = (self.buckets.len() * 2).max(FIRST_SWEEP);
    }
}

impl Bucket {
    fn at(&self, now: Duration, rate: f64, size: f64) -> f64 {
        let elapsed = now.saturating_sub(self.updated).as_secs_f64();
        (self.tokens + elapsed * rate).min(size)
    }
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Outcome};
    use std::time::Duration;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut buckets = Buckets::new(2.0);
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(1));
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Limited);
        assert_eq!(buckets.take("a", "/", ms(499)), Outcome::Limited);
        assert_eq!(buckets.take("a", "/", ms(500)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/", ms(60_000)), Outcome::Pass(1));
    }

    #[test]
    fn clients_and_paths_count_apart() {
        let mut buckets = Buckets::new(1.0);
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/x", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("b", "/", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("b", "/", ms(0)), Outcome::Limited);
    }

    #[test]
    fn less_than_one_a_second() {
        let mut buckets = Buckets::new(0.5);
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/", ms(1999)), Outcome::Limited);
        assert_eq!(buckets.take("a", "/", ms(2000)), Outcome::Pass(0));
    }

    #[test]
    fn a_fraction_does_not_enlarge_the_bucket() {
        let mut buckets = Buckets::new(2.5);
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(1));
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/", ms(0)), Outcome::Limited);
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut buckets = Buckets::new(10.0);
        for n in 0..10_000u64 {
            buckets.take("a", &format!("/{n}"), ms(n));
        }
        assert!(buckets.buckets.len() < 2100, "{} buckets", buckets.buckets.len());
    }

    #[test]
    fn newcomers_share_a_bucket_when_there_are_too_many() {
        let mut buckets = Buckets::new(1.0);
        buckets.most = 10;
        for n in 0..10 {
            assert_eq!(buckets.take("a", &format!("/{n}"), ms(0)), Outcome::Pass(0));
        }
        assert_eq!(buckets.take("a", "/10", ms(0)), Outcome::Pass(0));
        assert_eq!(buckets.take("a", "/11", ms(0)), Outcome::Limited);
        assert_eq!(buckets.take("a", "/3", ms(0)), Outcome::Limited);
        assert_eq!(buckets.take("a", "/3", ms(1000)), Outcome::Pass(0));
    }
}
