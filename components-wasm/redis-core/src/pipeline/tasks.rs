//! The three tasks of a pipelined connection: one writes what is queued, one reads replies, one watches the time.

use super::Shared;
use crate::connection::{Connection, Incoming};
use crate::{Error, Settings};
use proa_sdk::net::Writer;
use proa_sdk::time::{sleep, timeout};
use proa_sdk::wit_bindgen::JoinHandle;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The clock turns so often within the time that a command may take.
const TURNS: u32 = 4;

pub(super) fn start(shared: &Rc<Shared>, connection: Connection, settings: &Settings) -> Vec<JoinHandle<()>> {
    let limits = Limits {
        command: settings.command_timeout,
        age: settings.max_connection_age,
        idle: settings.idle_timeout,
        idle_check: settings.idle_check,
        since: Instant::now(),
    };
    let Connection { incoming, writer } = connection;
    let (w, r, c) = (shared.clone(), shared.clone(), shared.clone());
    vec![
        proa_sdk::spawn(async move {
            let error = write(&w, writer).await;
            w.break_off(error);
        }),
        proa_sdk::spawn(async move {
            let error = read(&r, incoming).await;
            r.break_off(error);
        }),
        proa_sdk::spawn(async move { clock(&c, limits).await }),
    ]
}

async fn write(shared: &Shared, mut writer: Writer) -> Error {
    // Two buffers take turns: one is filled by callers while the other is on its way.
    let mut outgoing = Vec::new();
    loop {
        poll_fn(|cx| {
            if shared.queued.borrow().is_empty() {
                shared.write_waker.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        // Calls that arrived together are queued one after the other: giving way once lets them all into this write.
        proa_sdk::wit_bindgen::yield_async().await;
        std::mem::swap(&mut *shared.queued.borrow_mut(), &mut outgoing);
        if let Err(error) = writer.write_all(&mut outgoing).await {
            return Error::network(error);
        }
        if outgoing.capacity() > 1 << 20 {
            outgoing = Vec::new();
        }
    }
}

async fn read(shared: &Shared, mut incoming: Incoming) -> Error {
    loop {
        if let Err(error) = incoming.fill().await {
            return error;
        }
        loop {
            match incoming.ready() {
                Ok(Some(value)) => {
                    if let Err(error) = shared.deliver(value) {
                        return error;
                    }
                }
                Ok(None) => break,
                Err(error) => return error,
            }
        }
    }
}

struct Limits {
    command: Option<Duration>,
    age: Option<Duration>,
    idle: Option<Duration>,
    idle_check: Duration,
    since: Instant,
}

impl Limits {
    fn is_old(&self) -> bool {
        self.age.is_some_and(|age| self.since.elapsed() >= age)
    }

    /// How long to sleep while commands are under way.
    fn step(&self) -> Duration {
        self.command.map_or(Duration::from_secs(1), |limit| (limit / TURNS).max(Duration::from_millis(1)))
    }
}

async fn clock(shared: &Shared, limits: Limits) {
    loop {
        let something_pending = poll_fn(|cx| {
            if shared.pending.borrow().is_empty() {
                shared.clock_waker.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        // With nothing to watch there is no timer at all.
        let rest = match (limits.idle, limits.age) {
            (None, None) => None,
            (Some(idle), None) => Some(idle.min(limits.idle_check)),
            (idle, Some(age)) => Some(age.saturating_sub(limits.since.elapsed()).min(idle.unwrap_or(age)).max(Duration::from_secs(1))),
        };
        let quiet_since = Instant::now();
        match rest {
            None => something_pending.await,
            Some(rest) => {
                let mut something_pending = std::pin::pin!(something_pending);
                while timeout(rest, something_pending.as_mut()).await.is_none() {
                    if limits.is_old() || limits.idle.is_some_and(|idle| quiet_since.elapsed() >= idle) {
                        return shared.retire();
                    }
                }
            }
        }
        sleep(limits.step()).await;
        let now = shared.tick.get().wrapping_add(1);
        shared.tick.set(now);
        if limits.command.is_some() && shared.pending.borrow().front().is_some_and(|e| now.wrapping_sub(e.since) > TURNS) {
            return shared.break_off(Error::Timeout);
        }
        if limits.is_old() {
            return shared.retire();
        }
    }
}
