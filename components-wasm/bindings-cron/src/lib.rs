//! `bindings.cron`: events at set times. A waiting `receive` returns when the next one is due; nothing runs between two calls.
//! An event that falls into a replacement of the component is handed out by its successor.

mod fields;
mod schedule;
mod ticks;

use jiff::{Timestamp, tz::TimeZone};
use proa_sdk::Properties;
use proa_sdk::bindings::{Error, Event, Verdict, input::Input};
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use schedule::Schedule;
use std::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};
use ticks::Ticks;

/// A successor makes up for events only when its predecessor ended this recently.
const HANDOVER: Duration = Duration::from_secs(30);

enum Phase {
    New,
    Running,
    Stopped(Timestamp),
}

struct State {
    ticks: Ticks,
    phase: Phase,
    /// The moment that the predecessor left to this instance.
    inherited: Option<Timestamp>,
    /// The receiver to be told of a stop; an earlier one finds out when its wait ends.
    waiting: Option<Waker>,
    count: u64,
}

struct Cron {
    name: String,
    text: String,
    state: RefCell<State>,
}

/// The zone that fields without one mean: `TZ`, if it names one, else UTC.
fn local_zone() -> TimeZone {
    let Ok(name) = std::env::var("TZ") else { return TimeZone::UTC };
    schedule::zone(name.trim_start_matches(':')).unwrap_or_else(|why| {
        proa_sdk::log::warn(format!("TZ: {why}; UTC is used"));
        TimeZone::UTC
    })
}

impl Component for Cron {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let text = properties.get("schedule").ok_or_else(|| InitError::Other("schedule not set".into()))?.to_owned();
        let schedule = Schedule::parse(&text).map_err(|why| InitError::Other(format!("invalid schedule format '{text}': {why}")))?;
        let state = State { ticks: Ticks::new(schedule, local_zone()), phase: Phase::New, inherited: None, waiting: None, count: 0 };
        Ok(Self { name: config.name, text, state: RefCell::new(state) })
    }
}

impl Health for Cron {
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
}

impl State {
    fn running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn event(&mut self, now: Timestamp) -> Event {
        self.count += 1;
        let metadata =
            vec![("timeZone".to_owned(), "Local".to_owned()), ("readTimeUTC".to_owned(), now.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string())];
        Event { id: self.count.to_string(), data: Vec::new(), content_type: None, metadata, lane: None }
    }
}

impl Cron {
    fn take(&self, max: u32) -> Vec<Event> {
        let mut state = self.state.borrow_mut();
        if !state.running() {
            return Vec::new();
        }
        let now = Timestamp::now();
        let due = state.ticks.take(now, max as usize);
        due.iter().map(|_| state.event(now)).collect()
    }

    /// Until the next event; none for never.
    fn pause(&self) -> Option<Duration> {
        let state = self.state.borrow();
        let next = state.ticks.next().filter(|_| state.running())?;
        Some(Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO))
    }

    async fn stopped(&self) {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if matches!(state.phase, Phase::Stopped(_)) {
                return Poll::Ready(());
            }
            state.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Input for Cron {
    async fn start(&self) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        match state.inherited.take() {
            Some(next) => state.ticks.resume(next),
            None => state.ticks.begin(Timestamp::now()),
        }
        state.phase = Phase::Running;
        let next = state.ticks.next().map_or_else(|| "never".to_owned(), |t| t.to_string());
        proa_sdk::log::debug(format!("name: {}, next run: {next}", self.name));
        Ok(())
    }

    async fn receive(&self, max: u32, wait_ms: u32) -> Result<Vec<Event>, Error> {
        let mut left = Duration::from_millis(wait_ms.into());
        loop {
            let events = self.take(max);
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            // A millisecond at least, so that a clock that is read a little too early is not asked again and again.
            let pause = self.pause().map_or(left, |p| p.max(Duration::from_millis(1)).min(left));
            if proa_sdk::time::timeout(pause, self.stopped()).await.is_some() {
                return Ok(Vec::new());
            }
            left -= pause;
        }
    }

    async fn settle(&self, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        // An event that failed is not repeated: the next one is on its way.
        for (_, verdict) in verdicts {
            if let Verdict::Failed(why) = verdict {
                proa_sdk::log::debug(format!("name: {}, the application failed: {why}", self.name));
            }
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        if state.running() {
            state.phase = Phase::Stopped(Timestamp::now());
        }
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
        Ok(())
    }
}

impl Snapshot for Cron {
    async fn save(&self) -> Result<Vec<u8>, String> {
        let state = self.state.borrow();
        let recent = match state.phase {
            Phase::New => false,
            Phase::Running => true,
            Phase::Stopped(since) => Timestamp::now().duration_since(since).unsigned_abs() < HANDOVER,
        };
        let next = state.ticks.oldest().filter(|_| recent);
        Ok(next.map(|n| format!("{n}\n{}", self.text).into_bytes()).unwrap_or_default())
    }

    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8(data).map_err(|_| "not a snapshot of this component")?;
        let Some((next, schedule)) = text.split_once('\n') else { return Ok(()) };
        // Another schedule begins anew.
        if schedule == self.text {
            self.state.borrow_mut().inherited = next.parse().ok();
        }
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Cron: bindings::input, component::health, component::snapshot
}
