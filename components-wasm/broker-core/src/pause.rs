//! Pauses between attempts: soon at first, at most so long.

use std::time::Duration;

pub struct Pause {
    next: Duration,
    first: Duration,
    most: Duration,
}

impl Pause {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { next: first, first, most }
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// The pause to take now; the next one is twice as long.
    pub fn take(&mut self) -> Duration {
        let now = self.next.min(self.most);
        self.next = (now * 2).min(self.most);
        now
    }
}
