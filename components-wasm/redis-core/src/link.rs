//! A server that is there again as soon as it can be: keeps a [`Pipeline`] to one target and reconnects when it ends.
//! While it is away callers wait for the attempt under way and get its error; attempts are spaced by the retry backoff.

use crate::dedicated::Dedicated;
use crate::pipeline::{End, Pipeline};
use crate::server::{Endpoint, Target};
use crate::{Error, Settings};
use proa_sdk::{log, spawn, time};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How long a connection that is to end may go on answering.
const DRAIN: Duration = Duration::from_secs(5);

/// Cheap to clone; ends with [`Link::close`].
#[derive(Clone)]
pub(crate) struct Link(Rc<Shared>);

struct Shared {
    endpoint: Endpoint,
    current: RefCell<Option<Pipeline>>,
    /// Counts attempts that have ended, and keeps the last failure.
    attempts: Cell<u64>,
    failure: RefCell<Error>,
    waiting: RefCell<Vec<Waker>>,
    /// The connection rests until somebody asks.
    resting: Cell<Option<Waker>>,
    closed: Cell<bool>,
}

impl Link {
    pub(crate) fn start(settings: Rc<Settings>, target: Target) -> Self {
        let shared = Rc::new(Shared {
            endpoint: Endpoint { settings, target },
            current: RefCell::new(None),
            attempts: Cell::new(0),
            failure: RefCell::new(Error::Closed),
            waiting: RefCell::new(Vec::new()),
            resting: Cell::new(None),
            closed: Cell::new(false),
        });
        let supervised = shared.clone();
        spawn(async move { supervised.supervise().await });
        Self(shared)
    }

    /// The connection, at once when there is one.
    pub(crate) async fn pipeline(&self) -> Result<Pipeline, Error> {
        if let Some(pipeline) = &*self.0.current.borrow()
            && pipeline.is_usable()
        {
            return Ok(pipeline.clone());
        }
        let limit = self.0.endpoint.settings.pool_timeout.max(self.0.endpoint.settings.dial_timeout);
        time::timeout(limit, self.0.next_outcome()).await.unwrap_or_else(|| Err(Error::Network("redis: connection pool timeout".into())))
    }

    pub(crate) async fn dedicated(&self) -> Result<Dedicated, Error> {
        Dedicated::open(&self.0.endpoint).await
    }

    /// Drops the connection, so that the next one goes to whoever is in charge then.
    pub(crate) fn reconnect(&self) {
        if let Some(pipeline) = self.0.current.borrow_mut().take() {
            pipeline.break_off(Error::Network("the server is no longer the master".into()));
        }
    }

    /// Answers what is under way, then ends.
    pub(crate) async fn close(&self) {
        self.0.closed.set(true);
        self.0.wake_all();
        let current = self.0.current.borrow_mut().take();
        if let Some(pipeline) = current {
            drain(&pipeline, Duration::from_secs(1)).await;
            pipeline.break_off(Error::Closed);
        }
    }
}

async fn drain(pipeline: &Pipeline, limit: Duration) {
    let start = Instant::now();
    while !pipeline.is_idle() && start.elapsed() < limit {
        time::sleep(Duration::from_millis(10)).await;
    }
}

impl Shared {
    fn wake_all(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
        if let Some(waker) = self.resting.take() {
            waker.wake();
        }
    }

    async fn next_outcome(&self) -> Result<Pipeline, Error> {
        let seen = self.attempts.get();
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(Err(Error::Closed));
            }
            if let Some(pipeline) = &*self.current.borrow()
                && pipeline.is_usable()
            {
                return Poll::Ready(Ok(pipeline.clone()));
            }
            if self.attempts.get() != seen {
                return Poll::Ready(Err(self.failure.borrow().clone()));
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            if let Some(waker) = self.resting.take() {
                waker.wake();
            }
            Poll::Pending
        })
        .await
    }

    async fn supervise(self: Rc<Self>) {
        let mut failures = 0;
        while !self.closed.get() {
            match self.endpoint.open().await {
                Ok(connection) => {
                    let pipeline = Pipeline::start(connection, &self.endpoint.settings);
                    if self.closed.get() {
                        return pipeline.break_off(Error::Closed);
                    }
                    let since = Instant::now();
                    *self.current.borrow_mut() = Some(pipeline.clone());
                    self.wake_all();
                    let end = pipeline.ended().await;
                    self.current.borrow_mut().take();
                    // A server that hangs up at once is not asked again at once.
                    failures = if since.elapsed() < Duration::from_secs(1) { failures + 1 } else { 0 };
                    self.after(end, pipeline, &mut failures).await;
                }
                Err(error) => {
                    *self.failure.borrow_mut() = error;
                    self.attempts.set(self.attempts.get() + 1);
                    self.wake_all();
                    failures += 1;
                }
            }
            if failures > 0 && !self.closed.get() {
                // At least something, also when the configuration turns backoff off: an attempt costs both sides.
                time::sleep(self.endpoint.settings.backoff(failures).max(Duration::from_millis(8))).await;
            }
        }
    }

    async fn after(&self, end: End, pipeline: Pipeline, failures: &mut u32) {
        match end {
            End::Broken(Error::Closed) => {}
            End::Broken(error) => log::warn(format!("redis: lost the connection to {}: {error}", self.endpoint.settings.host)),
            End::Retired => {
                *failures = 0;
                let was_idle = pipeline.is_idle();
                spawn(async move {
                    drain(&pipeline, DRAIN).await;
                    pipeline.break_off(Error::Closed);
                });
                if was_idle {
                    self.rest().await;
                }
            }
        }
    }

    /// Until somebody asks for a connection.
    async fn rest(&self) {
        poll_fn(|cx| {
            if self.closed.get() || !self.waiting.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.resting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
