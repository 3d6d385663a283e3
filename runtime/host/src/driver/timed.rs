//! Polls a store's event loop: counts the time that it computes, and answers the wakes that it gives itself.
//!
//! An answer of a guest wakes the call that waits for it inside the same loop. Left to the scheduler, such a wake puts the whole loop
//! into a queue again and rouses another thread to take it from there, once for every call. Here it is polled again at once.

use crate::generation::Stats;
use futures::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// How often a loop is polled in a row before others have their turn.
const TURNS: u32 = 16;

/// Bits of the state. Every change of it is one atomic exchange, so that a wake either comes before a turn begins, and the turn sees what
/// the wake was about, or it is noted and another turn follows.
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// Where the wakes of a loop arrive.
#[derive(Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) & POLLED == 0 {
            self.task.wake();
        }
    }
}

impl Bell {
    /// The loop is about to be polled; wakes up to now are answered by that.
    fn poll_begins(&self) {
        self.state.swap(POLLED, Ordering::AcqRel);
    }

    /// Whether nobody woke the loop while it was polled. From then on wakes go to the task.
    fn rests(&self) -> bool {
        self.state.compare_exchange(POLLED, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// From now on wakes go to the task, whatever came until now.
    fn rest(&self) {
        self.state.swap(0, Ordering::AcqRel);
    }
}

/// See the module's text. The host sees no other measure of a guest's CPU time than the time that its loop computes.
pub(super) struct Timed<'a, F> {
    inner: Pin<&'a mut F>,
    stats: &'a Stats,
    slice: &'a AtomicU32,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<'a, F: Future> Timed<'a, F> {
    pub fn new(inner: Pin<&'a mut F>, stats: &'a Stats, slice: &'a AtomicU32) -> Self {
        let bell = Arc::new(Bell::default());
        Self { inner, stats, slice, waker: bell.clone().into(), bell }
    }

    fn turns(&mut self) -> Poll<F::Output> {
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..TURNS {
            self.bell.poll_begins();
            if let Poll::Ready(output) = self.inner.as_mut().poll(&mut cx) {
                self.bell.rest();
                return Poll::Ready(output);
            }
            if self.bell.rests() {
                return Poll::Pending;
            }
        }
        // It goes on when its task comes to its turn again.
        self.bell.rest();
        self.bell.task.wake();
        Poll::Pending
    }
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.bell.task.register(cx.waker());
        let begun = Instant::now();
        let outcome = self.turns();
        let spent = begun.elapsed();
        self.stats.cpu.fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
        // A poll shorter than a tick that ended by itself was no spin: background tasks of a guest give way here, not in the loop.
        if spent < crate::engine::TICK / 2 {
            self.slice.store(0, Ordering::Relaxed);
        }
        outcome
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll_once<F: Future>(future: F, polls_of: impl FnOnce(&mut Timed<F>, &mut Context<'_>) -> bool) -> (bool, usize) {
        let (stats, slice, count) = (Stats::default(), AtomicU32::new(0), Arc::new(Count::default()));
        let mut future = std::pin::pin!(future);
        let mut timed = Timed::new(future.as_mut(), &stats, &slice);
        let waker = count.clone().into();
        let done = polls_of(&mut timed, &mut Context::from_waker(&waker));
        (done, count.0.load(Ordering::Relaxed))
    }

    /// Wakes itself that many times, then is ready.
    fn restless(times: u32) -> impl Future<Output = ()> {
        let mut left = times;
        std::future::poll_fn(move |cx| match left {
            0 => Poll::Ready(()),
            _ => {
                left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
    }

    #[test]
    fn a_loop_that_wakes_itself_is_polled_again_at_once() {
        let (done, wakes) = poll_once(restless(TURNS - 1), |timed, cx| Pin::new(timed).poll(cx).is_ready());
        assert!(done);
        assert_eq!(wakes, 0);
    }

    #[test]
    fn a_loop_that_never_rests_lets_others_have_their_turn() {
        let (done, wakes) = poll_once(restless(u32::MAX), |timed, cx| Pin::new(timed).poll(cx).is_ready());
        assert!(!done);
        assert_eq!(wakes, 1);
    }

    #[test]
    fn a_wake_from_elsewhere_reaches_the_task() {
        let kept = std::sync::Mutex::new(None::<Waker>);
        let waits = std::future::poll_fn(|cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        let (_, wakes) = poll_once(waits, |timed, cx| {
            let ready = Pin::new(timed).poll(cx).is_ready();
            kept.lock().unwrap().take().unwrap().wake();
            ready
        });
        assert_eq!(wakes, 1);
    }
}
