//! Collects messages for applications that want several at a time: a batch goes when it is full, or when its first message has waited
//! long enough; one batch at a time.
//!
//! Of a lane a batch holds one message: the next one of the lane waits for its verdict, as it would alone. The batch keeps its time all
//! the same, as Dapr's does for brokers that hand out one message after the other.

use super::pull::{Held, Job};
use super::target::Target;
use crate::services::metadata::capabilities;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most that a subscription may ask for; more would not fit into one call anyway.
const MOST: usize = 10_000;

/// How large a batch may get, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Batching {
    pub most: usize,
    pub wait: Duration,
}

impl Batching {
    /// Zero is the default: 100 messages, a second.
    pub fn new(most: u32, wait_ms: u32) -> Self {
        let most = if most == 0 { 100 } else { (most as usize).min(MOST) };
        let wait = if wait_ms == 0 { 1000 } else { wait_ms };
        Self { most, wait: Duration::from_millis(u64::from(wait)) }
    }
}

/// What was received and has not gone yet.
struct Pending {
    waiting: VecDeque<Held>,
    batch: Vec<Held>,
    due: Instant,
    batching: Batching,
}

impl Pending {
    /// Takes up what may go with this batch. The time of a batch begins with its first message.
    fn fill(&mut self) {
        let begins = self.batch.is_empty();
        let mut rest = VecDeque::new();
        for held in self.waiting.drain(..) {
            let lane = held.0.lane.as_deref();
            let taken = lane.is_some_and(|l| self.batch.iter().any(|(m, _)| m.lane.as_deref() == Some(l)));
            if taken || self.batch.len() >= self.batching.most {
                rest.push_back(held);
            } else {
                self.batch.push(held);
            }
        }
        self.waiting = rest;
        if begins {
            self.due = Instant::now() + self.batching.wait;
        }
    }

    /// Full, or old enough.
    fn is_due(&self) -> bool {
        self.batch.len() >= self.batching.most || self.due <= Instant::now()
    }
}

/// Runs until its subscription is over; what has not gone by then is left to the broker.
pub(super) async fn run(job: Job, batching: Batching, over: CancellationToken, mut incoming: mpsc::Receiver<Held>) {
    let Target::Events(route) = &*job.target else { return };
    let at_once = job.slot.peek().is_some_and(|c| capabilities(&c).iter().any(|f| f == "BULK_SUBSCRIBE_IMMEDIATE"));
    let mut pending = Pending { waiting: VecDeque::new(), batch: Vec::new(), due: Instant::now(), batching };
    loop {
        tokio::select! {
            biased;
            () = over.cancelled() => return,
            held = incoming.recv() => match held {
                Some(held) => pending.waiting.push_back(held),
                None => return,
            },
            () = tokio::time::sleep_until(pending.due), if !pending.batch.is_empty() => {}
        }
        while let Ok(held) = incoming.try_recv() {
            pending.waiting.push_back(held);
        }
        pending.fill();
        while !over.is_cancelled() && (at_once || pending.is_due()) && !pending.batch.is_empty() {
            let (messages, places): (Vec<_>, Vec<_>) = pending.batch.drain(..).unzip();
            for settled in super::bulk::deliver(&job.runtime, &job.slot, route, messages, &over).await {
                // The settler is gone only with the generation.
                let _ = job.verdicts.send(settled).await;
            }
            drop(places);
            pending.fill();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proa_host::kinds::pubsub::Message;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn pending(most: u32, messages: &[(&str, Option<&str>)]) -> Pending {
        let places = Arc::new(Semaphore::new(100));
        let held = |(id, lane): &(&str, Option<&str>)| {
            let message = Message {
                id: (*id).to_owned(),
                topic: "t".into(),
                data: Vec::new(),
                content_type: None,
                metadata: Vec::new(),
                lane: lane.map(str::to_owned),
                redeliveries: 0,
            };
            (message, places.clone().try_acquire_owned().unwrap())
        };
        Pending { waiting: messages.iter().map(held).collect(), batch: Vec::new(), due: Instant::now(), batching: Batching::new(most, 10) }
    }

    fn ids(held: &[Held]) -> Vec<&str> {
        held.iter().map(|(m, _)| m.id.as_str()).collect()
    }

    #[test]
    fn a_batch_takes_one_of_each_lane() {
        let mut p = pending(10, &[("1", Some("a")), ("2", Some("a")), ("3", Some("b")), ("4", None), ("5", None)]);
        p.fill();
        assert_eq!(ids(&p.batch), ["1", "3", "4", "5"]);
        p.batch.clear();
        p.fill();
        assert_eq!(ids(&p.batch), ["2"]);
    }

    #[test]
    fn a_batch_ends_at_its_size() {
        let mut p = pending(2, &[("1", None), ("2", None), ("3", None)]);
        p.fill();
        assert_eq!((ids(&p.batch), p.waiting.len()), (vec!["1", "2"], 1));
        assert_eq!((Batching::new(0, 0).most, Batching::new(0, 0).wait), (100, Duration::from_secs(1)));
    }
}
