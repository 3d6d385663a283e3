//! One answer that another task gives. A giver that is dropped answers nothing, so nobody waits for ever.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

enum State<T> {
    Waiting(Option<Waker>),
    Given(T),
    Gone,
}

/// Gives the answer.
pub struct Answer<T>(Rc<RefCell<State<T>>>);
/// Waits for it.
pub struct Once<T>(Rc<RefCell<State<T>>>);

pub fn once<T>() -> (Answer<T>, Once<T>) {
    let state = Rc::new(RefCell::new(State::Waiting(None)));
    (Answer(state.clone()), Once(state))
}

impl<T> Answer<T> {
    pub fn give(self, value: T) {
        self.end(State::Given(value));
    }

    fn end(&self, state: State<T>) {
        let before = self.0.replace(state);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if matches!(&*self.0.borrow(), State::Waiting(_)) {
            self.end(State::Gone);
        }
    }
}

impl<T> Once<T> {
    /// The answer; none when it will never come.
    pub async fn get(self) -> Option<T> {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            match std::mem::replace(&mut *state, State::Gone) {
                State::Given(value) => Poll::Ready(Some(value)),
                State::Gone => Poll::Ready(None),
                State::Waiting(_) => {
                    *state = State::Waiting(Some(cx.waker().clone()));
                    Poll::Pending
                }
            }
        })
        .await
    }
}
