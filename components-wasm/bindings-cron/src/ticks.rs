//! The moments at which events are due, and those that wait for a taker. Of more than a handful the oldest are dropped.

use crate::schedule::Schedule;
use jiff::{Timestamp, tz::TimeZone};
use std::collections::VecDeque;

/// How many events wait while nobody takes them.
const WAITING: usize = 16;

pub struct Ticks {
    schedule: Schedule,
    local: TimeZone,
    next: Option<Timestamp>,
    due: VecDeque<Timestamp>,
}

impl Ticks {
    pub fn new(schedule: Schedule, local: TimeZone) -> Self {
        Self { schedule, local, next: None, due: VecDeque::new() }
    }

    /// Begins after `now`, whatever was due before.
    pub fn begin(&mut self, now: Timestamp) {
        self.due.clear();
        self.next = self.schedule.next(now, &self.local);
    }

    /// Begins at a moment that was computed before.
    pub fn resume(&mut self, next: Timestamp) {
        self.due.clear();
        self.next = Some(next);
    }

    /// The moment that a successor must begin with.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.due.front().copied().or(self.next)
    }

    /// Up to `max` moments that are not after `now`.
    pub fn take(&mut self, now: Timestamp, max: usize) -> Vec<Timestamp> {
        for _ in 0..WAITING {
            let Some(next) = self.next.filter(|n| *n <= now) else { break };
            self.due.push_back(next);
            self.next = self.schedule.next(next, &self.local);
        }
        // Still behind: the process slept. What lies between is skipped.
        if self.next.is_some_and(|n| n <= now) {
            self.next = self.schedule.next(now, &self.local);
        }
        let surplus = self.due.len().saturating_sub(WAITING);
        self.due.drain(..surplus);
        let count = max.min(self.due.len());
        self.due.drain(..count).collect()
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.next
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ticks(text: &str) -> Ticks {
        Ticks::new(Schedule::parse(text).unwrap(), TimeZone::UTC)
    }

    #[test]
    fn a_late_taker_gets_what_was_missed() {
        let mut ticks = ticks("@every 1s");
        ticks.begin(at("2026-01-01T00:00:00Z"));
        assert!(ticks.take(at("2026-01-01T00:00:00.9Z"), 9).is_empty());
        assert_eq!(ticks.take(at("2026-01-01T00:00:03.2Z"), 2), [at("2026-01-01T00:00:01Z"), at("2026-01-01T00:00:02Z")]);
        assert_eq!(ticks.oldest(), Some(at("2026-01-01T00:00:03Z")));
        assert_eq!(ticks.take(at("2026-01-01T00:00:03.2Z"), 2), [at("2026-01-01T00:00:03Z")]);
        assert_eq!(ticks.next(), Some(at("2026-01-01T00:00:04Z")));
    }

    #[test]
    fn a_long_gap_is_not_made_up_for() {
        let mut ticks = ticks("* * * * * *");
        ticks.begin(at("2026-01-01T00:00:00Z"));
        assert_eq!(ticks.take(at("2026-01-01T08:00:00Z"), 100).len(), WAITING);
        assert_eq!(ticks.next(), Some(at("2026-01-01T08:00:01Z")));
    }

    #[test]
    fn resumes() {
        let mut ticks = ticks("@every 10m");
        ticks.resume(at("2026-01-01T00:05:00Z"));
        assert_eq!(ticks.take(at("2026-01-01T00:05:00Z"), 1), [at("2026-01-01T00:05:00Z")]);
        assert_eq!(ticks.next(), Some(at("2026-01-01T00:15:00Z")));
    }
}
