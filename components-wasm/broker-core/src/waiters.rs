//! Tasks that wait for a condition which others change. Nobody stays in the list who no longer waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A place to wait at.
#[derive(Default)]
pub struct Waiters {
    last: Cell<u64>,
    list: RefCell<Vec<(u64, Waker)>>,
}

struct Place<'a>(&'a Waiters, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.list.borrow_mut().retain(|(number, _)| *number != self.1);
    }
}

impl Waiters {
    /// Lets everybody look at their condition again.
    pub fn wake(&self) {
        for (_, waker) in self.list.take() {
            waker.wake();
        }
    }

    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        let place = Place(self, self.last.replace(self.last.get() + 1));
        poll_fn(|cx| {
            if condition() {
                return Poll::Ready(());
            }
            let mut list = self.list.borrow_mut();
            match list.iter_mut().find(|(number, _)| *number == place.1) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => list.push((place.1, cx.waker().clone())),
            }
            Poll::Pending
        })
        .await
    }
}

/// Lets one task at a time pass. Whoever waits goes on when the one before is done, also when that one gave up.
#[derive(Default)]
pub struct Turns {
    busy: Cell<bool>,
    changed: Waiters,
}

/// Held while a task is at it.
pub struct Turn<'a>(&'a Turns);

impl Turns {
    pub async fn next(&self) -> Turn<'_> {
        self.changed.until(|| !self.busy.replace(true)).await;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.changed.wake();
    }
}
