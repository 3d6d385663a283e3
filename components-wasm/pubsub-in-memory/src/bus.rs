//! The subscriptions of one instance and which of them a topic reaches.
//! A queue outlives its subscriber for a while, so that the one that comes after it (in this instance, or in the generation that
//! replaces it) continues where it ended: a subscription is known by its topic and by its place among those of the same topic.
//! What a subscriber still has in its hands when it ends is its own until it ends a second time; so nobody else gets it meanwhile.

use crate::queue::{Entry, Payload, Queue};
use std::{
    collections::BTreeMap,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

/// How long a queue of the previous generation collects messages for a subscriber that has not come yet.
const RESTORED: Duration = Duration::from_secs(60);
/// How long the rest of an ended subscription is kept for its successor.
const PARKED: Duration = Duration::from_secs(30);

enum Holder {
    Subscriber(u64),
    /// Nobody yet; takes new messages.
    Expected(Instant),
    /// Nobody any more; takes no new messages.
    Gone(Instant),
}

struct Slot {
    queue: Queue,
    holder: Holder,
}

/// All queues, by number, and the subscribers of each.
#[derive(Default)]
pub struct Bus {
    slots: BTreeMap<u64, Slot>,
    /// From the number of a subscription to its queue; some have ended and may still settle.
    queues: BTreeMap<u64, u64>,
    last: u64,
}

/// Whether a subscription to `pattern` gets messages of `topic`: only a `*` at the very end is a wildcard, and it
/// stands for at least one character.
fn reaches(pattern: &str, topic: &str) -> bool {
    pattern == topic || pattern.strip_suffix('*').is_some_and(|p| topic.len() > p.len() && topic.starts_with(p))
}

impl Bus {
    fn sweep(&mut self, now: Instant) {
        self.slots.retain(|_, slot| {
            let keep = match slot.holder {
                Holder::Subscriber(_) => true,
                Holder::Expected(until) | Holder::Gone(until) => until > now,
            };
            if !keep {
                slot.queue.wake_all();
            }
            keep
        });
        let slots = &self.slots;
        self.queues.retain(|_, queue| slots.contains_key(queue));
    }

    fn add(&mut self, queue: Queue, holder: Holder) -> u64 {
        // Never a number that another queue has had: somebody may still wait for room in that one.
        self.last += 1;
        self.slots.insert(self.last, Slot { queue, holder });
        self.last
    }

    pub fn subscribe(&mut self, topic: &str, now: Instant) -> u64 {
        self.sweep(now);
        self.last += 1;
        let id = self.last;
        let free = self.slots.iter_mut().find(|(_, s)| s.queue.topic == topic && !matches!(s.holder, Holder::Subscriber(_)));
        let queue = match free {
            Some((queue, slot)) => {
                slot.holder = Holder::Subscriber(id);
                *queue
            }
            None => self.add(Queue::new(topic), Holder::Subscriber(id)),
        };
        self.queues.insert(id, queue);
        id
    }

    /// The first time nothing is handed out any more; the second time what was not settled goes back to the queue.
    pub fn unsubscribe(&mut self, id: u64, now: Instant) {
        if let Some(slot) = self.queues.get(&id).and_then(|queue| self.slots.get_mut(queue)) {
            if matches!(slot.holder, Holder::Subscriber(holder) if holder == id) {
                slot.holder = Holder::Gone(now + PARKED);
                slot.queue.wake_all();
            } else {
                slot.queue.give_back(id);
                self.queues.remove(&id);
            }
        }
        self.sweep(now);
    }

    /// The queues that a message of `topic` goes to. The clock is asked only when some queue has a term.
    pub fn targets(&mut self, topic: &str, now: impl Fn() -> Instant) -> Vec<u64> {
        if self.slots.values().any(|s| !matches!(s.holder, Holder::Subscriber(_))) {
            self.sweep(now());
        }
        let open = self.slots.iter().filter(|(_, s)| !matches!(s.holder, Holder::Gone(_)));
        open.filter(|(_, s)| reaches(&s.queue.topic, topic)).map(|(id, _)| *id).collect()
    }

    /// True when the message was taken, or when nobody is there to take it any more.
    pub fn offer(&mut self, queue: u64, payload: &Rc<Payload>) -> bool {
        match self.slots.get_mut(&queue) {
            None | Some(Slot { holder: Holder::Gone(_), .. }) => true,
            Some(slot) => slot.queue.push(payload),
        }
    }

    /// Up to `max` messages; none for a subscription that does not exist or has ended.
    pub fn take<T>(&mut self, id: u64, max: u32, render: impl Fn(&str, u64, &Entry) -> T) -> Option<Vec<T>> {
        let slot = self.queues.get(&id).and_then(|queue| self.slots.get_mut(queue))?;
        if !matches!(slot.holder, Holder::Subscriber(holder) if holder == id) {
            return None;
        }
        Some(slot.queue.take(id, max as usize, render))
    }

    pub fn forget(&mut self, id: u64, messages: impl Iterator<Item = u64>) {
        if let Some(slot) = self.queues.get(&id).and_then(|queue| self.slots.get_mut(queue)) {
            messages.for_each(|message| slot.queue.forget(message));
        }
    }

    pub fn wait_for_room(&mut self, queue: u64, waker: &Waker) {
        if let Some(slot) = self.slots.get_mut(&queue) {
            slot.queue.wait_for_room(waker);
        }
    }

    pub fn wait_for_message(&mut self, id: u64, waker: &Waker) {
        if let Some(slot) = self.queues.get(&id).and_then(|queue| self.slots.get_mut(queue)) {
            slot.queue.wait_for_message(waker);
        }
    }

    /// All queues in the order of their subscriptions.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &Queue> {
        self.slots.values().map(|s| &s.queue)
    }

    /// Adds the queues of the previous generation; they collect messages until their subscribers come.
    pub fn restore(&mut self, queues: Vec<Queue>, now: Instant) {
        for queue in queues {
            self.add(queue, Holder::Expected(now + RESTORED));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::saved;

    fn payload(text: &str) -> Rc<Payload> {
        Rc::new(Payload { data: text.into(), metadata: vec![("k".into(), "v".into())] })
    }

    fn publish(bus: &mut Bus, topic: &str, text: &str, now: Instant) -> usize {
        let targets = bus.targets(topic, || now);
        targets.iter().for_each(|id| assert!(bus.offer(*id, &payload(text))));
        targets.len()
    }

    fn texts(bus: &mut Bus, id: u64) -> Vec<(u64, String, u32)> {
        let render = |_: &str, id, e: &Entry| (id, String::from_utf8_lossy(&e.payload.data).into_owned(), e.redeliveries);
        bus.take(id, 100, render).unwrap()
    }

    #[test]
    fn wildcards() {
        assert!(reaches("topic", "topic"));
        assert!(reaches("topic*", "topic1"));
        assert!(reaches("topic*", "topic*"));
        assert!(!reaches("topic*", "topic"));
        assert!(!reaches("topic/*", "topic"));
        assert!(reaches("topic/*", "topic/a/b"));
        assert!(!reaches("*a", "ba"));
        assert!(reaches("*", "anything"));
    }

    #[test]
    fn every_matching_subscription_gets_each_message_once_in_order() {
        let (mut bus, now) = (Bus::default(), Instant::now());
        let (a, b) = (bus.subscribe("t", now), bus.subscribe("t*", now));
        assert_eq!(publish(&mut bus, "t", "1", now), 1);
        assert_eq!(publish(&mut bus, "tt", "2", now), 1);
        assert_eq!(publish(&mut bus, "t", "3", now), 1);
        assert_eq!(publish(&mut bus, "other", "4", now), 0);
        assert_eq!(texts(&mut bus, a), [(1, "1".into(), 0), (2, "3".into(), 0)]);
        assert_eq!(texts(&mut bus, b), [(1, "2".into(), 0)]);
        assert!(texts(&mut bus, a).is_empty());
    }

    #[test]
    fn a_full_queue_refuses_until_a_message_is_settled() {
        let (mut bus, now) = (Bus::default(), Instant::now());
        let id = bus.subscribe("t", now);
        let large = Rc::new(Payload { data: vec![0; 40 << 20], metadata: Vec::new() });
        let queue = bus.targets("t", || now)[0];
        assert!(bus.offer(queue, &large));
        assert!(!bus.offer(queue, &large));
        assert_eq!(bus.take(id, 1, |_, id, _| id), Some(vec![1]));
        assert!(!bus.offer(queue, &large), "handed out is not settled");
        bus.forget(id, [1].into_iter());
        assert!(bus.offer(queue, &large));
    }

    #[test]
    fn a_successor_takes_over_what_was_unsettled() {
        let (mut bus, now) = (Bus::default(), Instant::now());
        let id = bus.subscribe("t", now);
        publish(&mut bus, "t", "1", now);
        publish(&mut bus, "t", "2", now);
        assert_eq!(bus.take(id, 1, |_, id, _| id), Some(vec![1]));
        bus.unsubscribe(id, now);
        assert_eq!(publish(&mut bus, "t", "lost", now), 0);
        assert!(bus.take(id, 1, |_, id, _| id).is_none());
        let again = bus.subscribe("t", now);
        assert_ne!(id, again);
        bus.unsubscribe(id, now);
        assert_eq!(texts(&mut bus, again), [(2, "1".into(), 1), (3, "2".into(), 0)]);
        bus.unsubscribe(again, now);
        let late = bus.subscribe("t", now + PARKED);
        assert!(texts(&mut bus, late).is_empty());
    }

    #[test]
    fn what_an_ended_subscriber_settles_does_not_come_again() {
        let (mut bus, now) = (Bus::default(), Instant::now());
        let id = bus.subscribe("t", now);
        ["1", "2", "3"].iter().for_each(|text| assert_eq!(publish(&mut bus, "t", text, now), 1));
        assert_eq!(bus.take(id, 2, |_, id, _| id), Some(vec![1, 2]));
        bus.unsubscribe(id, now);
        let again = bus.subscribe("t", now);
        bus.forget(id, [1].into_iter());
        assert_eq!(bus.take(again, 1, |_, id, _| id), Some(vec![3]), "what is in other hands stays there");
        bus.unsubscribe(id, now);
        assert_eq!(texts(&mut bus, again), [(4, "2".into(), 1)]);
        bus.forget(again, [3, 4].into_iter());
        assert_eq!(bus.queues().map(|q| q.entries().count()).sum::<usize>(), 0);
    }

    #[test]
    fn a_swap_keeps_messages_and_places() {
        let (mut old, now) = (Bus::default(), Instant::now());
        let (first, second) = (old.subscribe("t", now), old.subscribe("t", now));
        publish(&mut old, "t", "both", now);
        assert_eq!(texts(&mut old, first).len(), 1);
        old.forget(first, [1].into_iter());
        let mut new = Bus::default();
        new.restore(saved::read(&saved::write(&old)).unwrap(), now);
        assert_eq!(publish(&mut new, "t", "between", now), 2);
        let (a, b) = (new.subscribe("t", now), new.subscribe("t", now));
        assert_eq!(texts(&mut new, a), [(1, "between".into(), 0)]);
        assert_eq!(texts(&mut new, b), [(1, "both".into(), 0), (2, "between".into(), 0)]);
        assert_ne!(first, second);
        assert_eq!(publish(&mut new, "t", "later", now + RESTORED), 2);
    }

    #[test]
    fn a_subscriber_that_never_comes_frees_its_queue() {
        let (mut old, now) = (Bus::default(), Instant::now());
        old.subscribe("t", now);
        let mut new = Bus::default();
        new.restore(saved::read(&saved::write(&old)).unwrap(), now);
        assert_eq!(publish(&mut new, "t", "x", now), 1);
        assert_eq!(publish(&mut new, "t", "x", now + RESTORED), 0);
        assert!(saved::read(b"PMQ1\x01\0\0\0").is_none());
        assert!(saved::read(b"nonsense").is_none());
    }
}
