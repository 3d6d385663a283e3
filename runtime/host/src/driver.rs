//! One task owns one store. Calls arrive through a bounded queue and run interleaved inside one long event loop; replies leave through
//! channels that live outside it, so that a trap answers every waiting caller instead of losing it.
//!
//! A call that has not begun when its instance dies is told so ([`CallError::NotStarted`]) and may be repeated, whatever it does.

mod timed;

use crate::ctx::Ctx;
use crate::exports::Exports;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use timed::Timed;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime::component::Accessor;

/// Calls that may wait for one instance.
const QUEUE: usize = 4096;

const UNKNOWN: &str = "it ended";

/// Why a component did not answer. What it answered, good or bad, is the kind's own business.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The instance ended before the call began: it may be repeated.
    #[error("component is restarting: {0}")]
    NotStarted(Arc<str>),
    /// The instance ended while the call ran.
    #[error("component failed: {0}")]
    Trapped(Arc<str>),
    #[error("component did not answer within {}", go_like(.0))]
    Deadline(Duration),
    /// The queue is full.
    #[error("component is overloaded: {QUEUE} calls are waiting")]
    Busy,
    #[error("component does not support {0}")]
    Unsupported(&'static str),
    /// A component elsewhere answered with a failure for which its interface has no place.
    #[error("{0}")]
    Status(Arc<crate::remote::Status>),
}

fn go_like(d: &Duration) -> String {
    format!("{}s", d.as_secs_f64())
}

/// What runs inside the store.
pub(crate) type Job = Box<dyn for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<()>> + Send>;

/// The way to one live instance.
pub(crate) struct Line {
    queue: mpsc::Sender<Job>,
    /// Calls sent and not answered.
    pub load: AtomicUsize,
    /// Why the instance ended; set once. Shared, because replies outlive the line and must not keep its queue open.
    pub ended: Arc<std::sync::OnceLock<Arc<str>>>,
    /// Cancelled when the instance is gone.
    pub over: CancellationToken,
    /// Cancel it to drop the instance with whatever it is doing.
    pub kill: CancellationToken,
}

/// Answers the caller in any case: with the value, or on drop with what became of the call.
struct Reply<R> {
    sender: Option<oneshot::Sender<Result<R, CallError>>>,
    started: bool,
    ended: Arc<std::sync::OnceLock<Arc<str>>>,
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let why = self.ended.get().cloned().unwrap_or_else(|| UNKNOWN.into());
            let error = if self.started { CallError::Trapped(why) } else { CallError::NotStarted(why) };
            // Nobody waits any more: then nobody misses the answer.
            let _ = sender.send(Err(error));
        }
    }
}

impl Line {
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        (
            Arc::new(Self {
                queue,
                load: AtomicUsize::new(0),
                ended: Arc::default(),
                over: CancellationToken::new(),
                kill: CancellationToken::new(),
            }),
            jobs,
        )
    }

    /// Runs `work` inside the instance. With no limit it may take for ever (streams); the guest's CPU time is bounded in any case.
    pub async fn call<R, F>(self: &Arc<Self>, limit: Option<Duration>, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        self.begin(work)?.answer(limit).await
    }

    /// Hands `work` to the instance.
    pub fn begin<R, F>(self: &Arc<Self>, work: F) -> Result<Pending<R>, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a Accessor<Ctx>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let mut reply = Reply { sender: Some(sender), started: false, ended: self.ended.clone() };
        let job: Job = Box::new(move |accessor, exports| {
            reply.started = true;
            Box::pin(async move {
                let value = work(accessor, exports).await?;
                if let Some(sender) = reply.sender.take() {
                    let _ = sender.send(Ok(value));
                }
                Ok(())
            })
        });
        self.load.fetch_add(1, Ordering::Relaxed);
        let pending = Pending { line: self.clone(), answer };
        match self.queue.try_send(job) {
            Ok(()) => Ok(pending),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CallError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(CallError::NotStarted(self.ended.get().cloned().unwrap_or_else(|| UNKNOWN.into()))),
        }
    }

    /// Why the instance ended. A call learns of the end a moment before the reason is written down.
    async fn reason(&self) -> Arc<str> {
        let _ = tokio::time::timeout(Duration::from_millis(100), self.over.cancelled()).await;
        self.ended.get().cloned().unwrap_or_else(|| UNKNOWN.into())
    }
}

/// A call on its way. It counts as load for as long as somebody holds this.
pub(crate) struct Pending<R> {
    line: Arc<Line>,
    answer: oneshot::Receiver<Result<R, CallError>>,
}

impl<R> Pending<R> {
    /// What the instance answers, within the limit. May be asked again when it was given up before.
    pub async fn answer(&mut self, limit: Option<Duration>) -> Result<R, CallError> {
        let answer = match limit {
            None => (&mut self.answer).await,
            Some(limit) => tokio::time::timeout(limit, &mut self.answer).await.map_err(|_| CallError::Deadline(limit))?,
        };
        match answer.unwrap_or_else(|_| Err(CallError::Trapped(UNKNOWN.into()))) {
            Err(CallError::Trapped(_)) => Err(CallError::Trapped(self.line.reason().await)),
            answer => answer,
        }
    }
}

impl<R> Drop for Pending<R> {
    fn drop(&mut self) {
        self.line.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves calls until the queue is closed and the last call is answered, or the guest traps.
pub(crate) async fn serve(store: &mut Store<Ctx>, exports: &Exports, jobs: &mut mpsc::Receiver<Job>) -> wasmtime::Result<()> {
    let slice = store.data().slice.clone();
    let stats = store.data().stats.clone();
    let gone = store.data().standard.gone.clone();
    let mut loop_ = pin!(store.run_concurrent(async |accessor| {
        let mut calls = FuturesUnordered::new();
        let mut open = true;
        std::future::poll_fn(|cx| {
            slice.store(0, Ordering::Relaxed);
            loop {
                while open {
                    match jobs.poll_recv(cx) {
                        Poll::Ready(Some(job)) => {
                            stats.calls.fetch_add(1, Ordering::Relaxed);
                            calls.push(job(accessor, exports));
                        }
                        Poll::Ready(None) => open = false,
                        Poll::Pending => break,
                    }
                }
                match calls.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(()))) => {}
                    Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(e)),
                    Poll::Ready(None) if open => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }));
    // Declared after the loop, so dropped before it, however this ends.
    let _gone = SetOnDrop(&gone);
    Timed::new(loop_.as_mut(), &stats, &slice).await?
}

/// Says that a store writes no more, before anything that it was writing is dropped.
struct SetOnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs one piece of work in a store of which nobody else makes calls.
pub(crate) async fn once<R>(store: &mut Store<Ctx>, work: impl AsyncFnOnce(&Accessor<Ctx>) -> wasmtime::Result<R>) -> wasmtime::Result<R> {
    let slice = store.data().slice.clone();
    let stats = store.data().stats.clone();
    let run = store.run_concurrent(work);
    Timed::new(pin!(run), &stats, &slice).await?
}
