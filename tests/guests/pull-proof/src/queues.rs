//! Topics and their subscriptions, in memory. Every subscription has a copy of each message published after it began.

use proa_sdk::pubsub::{Message, Verdict};
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

/// One subscription: what waits, what is out, and who wants to hear of news.
#[derive(Default)]
struct Queue {
    topic: String,
    ready: VecDeque<Message>,
    out: BTreeMap<String, Message>,
    wakers: Vec<Waker>,
}

#[derive(Default)]
pub struct Queues {
    queues: BTreeMap<u64, Queue>,
    next: u64,
}

/// What a poll for messages found.
pub enum Found {
    Messages(Vec<Message>),
    Nothing,
    /// No such subscription (any more).
    Gone,
}

impl Queues {
    pub fn subscribe(&mut self, topic: String) -> u64 {
        self.next += 1;
        self.queues.insert(self.next, Queue { topic, ..Queue::default() });
        self.next
    }

    pub fn unsubscribe(&mut self, id: u64) {
        if let Some(queue) = self.queues.remove(&id) {
            wake(queue.wakers);
        }
    }

    pub fn publish(&mut self, message: Message) {
        for queue in self.queues.values_mut().filter(|q| q.topic == message.topic) {
            queue.ready.push_back(message.clone());
            wake(std::mem::take(&mut queue.wakers));
        }
    }

    /// Takes up to `max`; with nothing there, `waker` is woken when that changes.
    pub fn take(&mut self, id: u64, max: usize, waker: &Waker) -> Found {
        let Some(queue) = self.queues.get_mut(&id) else { return Found::Gone };
        if queue.ready.is_empty() {
            queue.wakers.push(waker.clone());
            return Found::Nothing;
        }
        let count = queue.ready.len().min(max.max(1));
        let taken: Vec<Message> = queue.ready.drain(..count).collect();
        queue.out.extend(taken.iter().map(|m| (m.id.clone(), m.clone())));
        Found::Messages(taken)
    }

    pub fn settle(&mut self, id: u64, verdicts: Vec<(String, Verdict)>) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        for (name, verdict) in verdicts {
            let Some(mut message) = queue.out.remove(&name) else { continue };
            if verdict == Verdict::Retry {
                message.redeliveries += 1;
                queue.ready.push_back(message);
            }
        }
        wake(std::mem::take(&mut queue.wakers));
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
