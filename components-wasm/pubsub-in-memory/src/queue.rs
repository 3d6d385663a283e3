//! The messages of one subscription: waiting, handed out, and who waits for either room or news.
//! Bounded by count and by bytes; a single message larger than the byte bound still passes when the queue is empty.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    task::Waker,
};

const MESSAGES: usize = 100_000;
const BYTES: usize = 64 << 20;
/// How many waiting calls are remembered. Those that gave up leave their waker behind, and the oldest makes room.
const RECEIVERS: usize = 8;
const PUBLISHERS: usize = 4096;

/// What was published; shared by all queues that hold it.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    pub data: Vec<u8>,
    pub metadata: Vec<(String, String)>,
}

/// A payload in one queue.
#[derive(Clone)]
pub struct Entry {
    pub payload: Rc<Payload>,
    pub redeliveries: u32,
}

impl Entry {
    fn again(&self) -> Self {
        Self { payload: self.payload.clone(), redeliveries: self.redeliveries + 1 }
    }
}

/// The queue of one subscription.
pub struct Queue {
    pub topic: String,
    waiting: VecDeque<Entry>,
    /// With the subscriber that has it.
    handed_out: BTreeMap<u64, (u64, Entry)>,
    bytes: usize,
    next_id: u64,
    receivers: VecDeque<Waker>,
    publishers: VecDeque<Waker>,
}

fn wake(wakers: &mut VecDeque<Waker>) {
    for waker in wakers.drain(..) {
        waker.wake();
    }
}

fn remember(wakers: &mut VecDeque<Waker>, waker: &Waker, most: usize) {
    if wakers.len() == most {
        wakers.pop_front();
    }
    wakers.push_back(waker.clone());
}

impl Queue {
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            waiting: VecDeque::new(),
            handed_out: BTreeMap::new(),
            bytes: 0,
            next_id: 1,
            receivers: VecDeque::new(),
            publishers: VecDeque::new(),
        }
    }

    fn has_room(&self, size: usize) -> bool {
        let held = self.waiting.len() + self.handed_out.len();
        held == 0 || (held < MESSAGES && self.bytes + size <= BYTES)
    }

    /// Takes the payload unless the queue is full.
    pub fn push(&mut self, payload: &Rc<Payload>) -> bool {
        if !self.has_room(payload.data.len()) {
            return false;
        }
        self.append(Entry { payload: payload.clone(), redeliveries: 0 });
        wake(&mut self.receivers);
        true
    }

    /// Without regard to the bounds: for what was accepted before.
    pub fn append(&mut self, entry: Entry) {
        self.bytes += entry.payload.data.len();
        self.waiting.push_back(entry);
    }

    /// Hands out up to `max` messages to a subscriber.
    pub fn take<T>(&mut self, subscriber: u64, max: usize, render: impl Fn(&str, u64, &Entry) -> T) -> Vec<T> {
        let count = max.min(self.waiting.len());
        let mut out = Vec::with_capacity(count);
        for entry in self.waiting.drain(..count) {
            out.push(render(&self.topic, self.next_id, &entry));
            self.handed_out.insert(self.next_id, (subscriber, entry));
            self.next_id += 1;
        }
        out
    }

    pub fn forget(&mut self, id: u64) {
        if let Some((_, entry)) = self.handed_out.remove(&id) {
            self.bytes -= entry.payload.data.len();
            wake(&mut self.publishers);
        }
    }

    /// Everything unsettled in its order, what was handed out first.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let again = self.handed_out.values().map(|(_, entry)| entry.again());
        again.chain(self.waiting.iter().cloned())
    }

    /// Puts what a subscriber was handed and did not settle back to the front.
    pub fn give_back(&mut self, subscriber: u64) {
        let (back, rest): (BTreeMap<_, _>, _) = std::mem::take(&mut self.handed_out).into_iter().partition(|(_, (holder, _))| *holder == subscriber);
        self.handed_out = rest;
        if !back.is_empty() {
            back.into_values().rev().for_each(|(_, entry)| self.waiting.push_front(entry.again()));
            wake(&mut self.receivers);
        }
    }

    pub fn wait_for_room(&mut self, waker: &Waker) {
        remember(&mut self.publishers, waker, PUBLISHERS);
    }

    pub fn wait_for_message(&mut self, waker: &Waker) {
        remember(&mut self.receivers, waker, RECEIVERS);
    }

    pub fn wake_all(&mut self) {
        wake(&mut self.receivers);
        wake(&mut self.publishers);
    }
}
