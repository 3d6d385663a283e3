//! Messages of one subscription: those that wait here for the host, and those that the application has.
//!
//! Each has a key by which the protocol settles it. Under `single` one message at a time is with the application: the next is handed
//! out once that one is settled, which keeps the order also when a swap comes in between. Receives never touch the network.

use crate::Waiters;
use proa_sdk::pubsub::Message;
use proa_sdk::time;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

pub struct Inbox<K> {
    single: bool,
    waiting: RefCell<VecDeque<(Message, K)>>,
    out: RefCell<HashMap<String, K>>,
    last: Cell<u64>,
    ended: Cell<bool>,
    changed: Waiters,
}

impl<K: Clone + PartialEq> Inbox<K> {
    pub fn new(single: bool) -> Self {
        let (waiting, out, changed) = (RefCell::default(), RefCell::default(), Waiters::default());
        Self { single, waiting, out, last: Cell::new(0), ended: Cell::new(false), changed }
    }

    /// Takes a message in; its id is given here. False when the subscription has ended: the caller gives the message back.
    #[must_use]
    pub fn put(&self, mut message: Message, key: K) -> bool {
        if self.ended.get() {
            return false;
        }
        self.last.set(self.last.get() + 1);
        message.id = self.last.get().to_string();
        self.waiting.borrow_mut().push_back((message, key));
        self.changed.wake();
        true
    }

    /// Whether the message of this key is here or with the application.
    pub fn holds(&self, key: &K) -> bool {
        self.waiting.borrow().iter().any(|(_, k)| k == key) || self.out.borrow().values().any(|k| k == key)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    pub fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Every key that is not settled.
    pub fn unsettled(&self) -> Vec<K> {
        let waiting = self.waiting.borrow();
        waiting.iter().map(|(_, k)| k.clone()).chain(self.out.borrow().values().cloned()).collect()
    }

    fn ready(&self) -> bool {
        !self.waiting.borrow().is_empty() && (!self.single || self.out.borrow().is_empty())
    }

    fn take(&self, max: usize) -> Vec<Message> {
        if self.ended.get() || !self.ready() {
            return Vec::new();
        }
        let mut waiting = self.waiting.borrow_mut();
        let count = if self.single { max.min(1) } else { max }.min(waiting.len());
        let mut out = self.out.borrow_mut();
        let hand_out = |(message, key): (Message, K)| {
            out.insert(message.id.clone(), key);
            message
        };
        waiting.drain(..count).map(hand_out).collect()
    }

    /// Up to `max` messages; waits for the first.
    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Message> {
        let mut taken = self.take(max);
        if taken.is_empty() && !wait.is_zero() {
            time::timeout(wait, self.changed.until(|| self.ended.get() || self.ready())).await;
            taken = self.take(max);
        }
        if !taken.is_empty() {
            self.changed.wake();
        }
        taken
    }

    /// The key of a message that the application has answered; none when it is not known (any more).
    pub fn settle(&self, id: &str) -> Option<K> {
        let key = self.out.borrow_mut().remove(id);
        if key.is_some() {
            self.changed.wake();
        }
        key
    }

    /// Hands nothing out any more; the keys of what waited are for the caller to give back.
    pub fn end(&self) -> Vec<K> {
        self.ended.set(true);
        self.changed.wake();
        self.waiting.take().into_iter().map(|(_, key)| key).collect()
    }

    /// Forgets everything: the broker will hand it out again. Verdicts on what is out are unknown ids from now on.
    pub fn forget(&self) {
        self.waiting.take();
        self.out.take();
        self.changed.wake();
    }

    /// What is out, oldest first, to give back when nobody will answer any more.
    pub fn abandon(&self) -> Vec<K> {
        let mut out: Vec<(u64, K)> = self.out.take().into_iter().map(|(id, key)| (id.parse().unwrap_or(u64::MAX), key)).collect();
        out.sort_by_key(|(number, _)| *number);
        self.changed.wake();
        out.into_iter().map(|(_, key)| key).collect()
    }

    /// Waits until the application has answered what it has, at most `limit`.
    pub async fn answered(&self, limit: Duration) {
        time::timeout(limit, self.changed.until(|| self.out.borrow().is_empty())).await;
    }

    /// Waits until at most `count` messages wait here, or the subscription has ended.
    pub async fn below(&self, count: usize) {
        self.changed.until(|| self.ended.get() || self.waiting.borrow().len() <= count).await;
    }
}
