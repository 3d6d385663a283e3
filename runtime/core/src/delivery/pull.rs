//! The loop of one subscription: it pulls from the current generation, hands out, and settles what came of it.
//!
//! A swap only means that the loop stops receiving on the old generation and starts on the new one. Nothing is received whose
//! answer is not waited for: the window bounds what is in flight, and with it memory. What fails is tried again after a pause.

use super::batch;
use super::lanes::Lanes;
use super::message::error_text;
use super::target::Target;
use super::work::{self, Hands, Verdicts};
use crate::runtime::Runtime;
use crate::slots::Slot;
use futures::future::BoxFuture;
use proa_host::generation::Generation;
use proa_host::kinds::pubsub::{Message, SubscribeRequest};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages of one subscription that may be with the application at a time.
pub(super) const WINDOW: usize = 64;
/// How long a receive waits for the first message.
const WAIT: Duration = Duration::from_secs(5);
/// How long verdicts may wait for what is still with the application when a subscription ends.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How long a subscription waits for the one whose place it takes.
const PREDECESSOR: Duration = Duration::from_secs(5);
/// The first and the longest pause before a failed subscription is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A message and its place in the window.
pub(super) type Held = (Message, OwnedSemaphorePermit);

/// The loop whose place another one takes.
pub(super) struct Predecessor {
    /// The broker knows that it has ended.
    pub released: CancellationToken,
    /// Its end; everything it had received is settled or given back.
    pub task: JoinHandle<()>,
}

/// See the module's text.
pub(super) struct Pull {
    pub runtime: Arc<Runtime>,
    pub slot: Arc<Slot>,
    pub target: Arc<Target>,
    pub stop: CancellationToken,
    /// Set when the broker knows that this subscription has ended for good.
    pub released: CancellationToken,
    /// Let go of when the first subscription has been tried.
    pub first: Option<DropGuard>,
    pub predecessor: Option<Predecessor>,
}

/// One subscription at one generation.
struct Open<'a> {
    generation: &'a Arc<Generation>,
    id: u64,
    number: u64,
    changes: watch::Receiver<u64>,
    released: bool,
}

impl Pull {
    /// Runs until `stop`, or until the component's name is given up.
    pub async fn run(mut self) {
        let _released = self.released.clone().drop_guard();
        if let Some(before) = &self.predecessor {
            // Otherwise both would be subscribers for a moment.
            let _ = tokio::time::timeout(PREDECESSOR, before.released.cancelled()).await;
        }
        let mut changes = self.slot.watch();
        let mut pause = BACKOFF.0;
        while !self.stop.is_cancelled() {
            if *changes.borrow_and_update() == 0 {
                // The slot is empty or hands its state over.
                if self.slot.peek().is_none() {
                    self.first = None;
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = self.stop.cancelled() => return,
                }
                continue;
            }
            let Some(lease) = self.slot.lease().await else { continue };
            let generation = lease.generation.clone();
            let topic = self.target.broker_topic(&self.runtime, &lease.prepared);
            drop(lease);
            match self.subscribed(&generation, &topic).await {
                Ok(()) => pause = BACKOFF.0,
                Err(error) if self.stop.is_cancelled() => tracing::debug!(target: "dapr.runtime.pubsub", "{error}"),
                Err(error) => {
                    tracing::error!(target: "dapr.runtime.pubsub", "subscription to topic {topic} on pubsub {}: {error}; trying again in {}ms", self.slot.name, pause.as_millis());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = changes.changed() => {}
                        () = self.stop.cancelled() => return,
                    }
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Receives from one generation until it is replaced, the subscription ends, or it fails.
    async fn subscribed(&mut self, generation: &Arc<Generation>, topic: &str) -> Result<(), String> {
        let number = generation.identity().generation;
        let changes = self.slot.watch();
        let window = self.target.window();
        let request = SubscribeRequest { topic: topic.to_owned(), metadata: self.target.metadata(), window: window as u32 };
        let subscribed = generation.pubsub().subscribe(request).await;
        self.first = None;
        let id = subscribed.map_err(|e| e.to_string())?.map_err(|e| error_text(&e))?;
        tracing::debug!(target: "dapr.runtime.pubsub", "subscribed to topic {topic} on pubsub {} (generation {number})", self.slot.name);
        if let Some(before) = self.predecessor.take() {
            // What it has in its hands comes first. An application that is slow does not hold the successor up for ever.
            let _ = tokio::time::timeout(PREDECESSOR, before.task).await;
        }
        let (hands, verdicts, mut work) = work::begin(generation.clone(), id, self.slot.in_flight());
        let mut open = Open { generation, id, number, changes, released: false };
        let outcome = tokio::select! {
            biased;
            outcome = self.receive(&mut open, hands, verdicts, window) => outcome,
            // It has what it needs to go on for as long as messages are received.
            () = &mut work => Err("the deliveries ended".into()),
        };
        self.finish(open, work).await;
        outcome
    }

    async fn receive(&self, open: &mut Open<'_>, hands: Hands, verdicts: Verdicts, window: usize) -> Result<(), String> {
        let places = Arc::new(Semaphore::new(window));
        let over = CancellationToken::new();
        // What still waits for its turn when this ends is left to the successor, however it ends.
        let _over = over.clone().drop_guard();
        let job = Job { runtime: self.runtime.clone(), slot: self.slot.clone(), target: self.target.clone(), verdicts };
        let mut out = Out::new(job, hands, &over, window);
        let broker = open.generation.pubsub();
        loop {
            let first = tokio::select! {
                place = places.clone().acquire_owned() => place,
                () = open.ended(&self.stop) => return Ok(()),
            };
            let Ok(first) = first else { return Ok(()) };
            let max = 1 + places.available_permits() as u32;
            let receive = broker.receive(open.id, max, WAIT.as_millis() as u32);
            tokio::pin!(receive);
            let (received, ended) = tokio::select! {
                received = &mut receive => (received, false),
                () = open.ended(&self.stop) => {
                    over.cancel();
                    // What the pending receive may still bring must not be lost: ending the subscription makes it return.
                    open.release().await;
                    (receive.await, true)
                }
            };
            match received.map_err(|e| e.to_string()).and_then(|r| r.map_err(|e| error_text(&e))) {
                Ok(messages) => out.hand_out(messages, first, &places).await,
                Err(_) if ended => {}
                Err(error) => return Err(error),
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Lets what is with the application be settled, then gives the rest back. A swap does not wait for that: a successor can start
    /// at once.
    async fn finish(&self, mut open: Open<'_>, work: BoxFuture<'static, ()>) {
        let settler = tokio::spawn(work);
        open.release().await;
        let stopping = self.stop.is_cancelled();
        if stopping {
            self.released.cancel();
        }
        let (generation, id) = (open.generation.clone(), open.id);
        let drained = async move {
            let _ = tokio::time::timeout(DRAIN, settler).await;
            // Said again when nothing is out any more: what was received and not settled goes back to the broker.
            let _ = generation.pubsub().unsubscribe(id).await;
        };
        if stopping {
            drained.await;
        } else {
            self.runtime.tasks.spawn(drained);
        }
    }
}

impl Open<'_> {
    /// Waits until the generation is not the current one any more, or must be handed back, or the subscription ends.
    async fn ended(&mut self, stop: &CancellationToken) {
        let number = self.number;
        tokio::select! {
            _ = self.changes.wait_for(|n| *n != number) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Nothing more is to come from this subscription.
    async fn release(&mut self) {
        if !std::mem::replace(&mut self.released, true) {
            // A broker that cannot be told has lost the subscriber anyway.
            let _ = self.generation.pubsub().unsubscribe(self.id).await;
        }
    }
}

/// What handing a message on takes.
#[derive(Clone)]
pub(super) struct Job {
    pub runtime: Arc<Runtime>,
    pub slot: Arc<Slot>,
    pub target: Arc<Target>,
    pub verdicts: Verdicts,
}

/// The way on: one by one, or collected.
enum Out {
    Lanes(Job, Lanes),
    Batch(mpsc::Sender<Held>),
}

impl Out {
    fn new(job: Job, hands: Hands, over: &CancellationToken, window: usize) -> Self {
        match job.target.batching() {
            None => Self::Lanes(job, Lanes::new(over.clone(), hands)),
            Some(batching) => {
                let (sender, receiver) = mpsc::channel(window);
                // It ends with its sender.
                hands.take_up(batch::run(job, batching, over.clone(), receiver));
                Self::Batch(sender)
            }
        }
    }

    async fn hand_out(&mut self, messages: Vec<Message>, first: OwnedSemaphorePermit, places: &Arc<Semaphore>) {
        let mut first = Some(first);
        for message in messages {
            let place = match first.take() {
                Some(place) => place,
                None => match places.clone().acquire_owned().await {
                    Ok(place) => place,
                    Err(_) => return,
                },
            };
            match self {
                Self::Lanes(job, lanes) => lanes.dispatch(job, (message, place)),
                // Without a receiver the subscription is over: the message is left unsettled.
                Self::Batch(sender) => {
                    let _ = sender.send((message, place)).await;
                }
            }
        }
    }
}
