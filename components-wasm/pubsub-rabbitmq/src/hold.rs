//! Keeps a queue that is deleted with its last consumer, until another consumer has come: the one that takes over in a swap.
//!
//! A second consumer stands in, on a channel that may have one unsettled message and already has one, from a queue of its own. So it counts as
//! a consumer and never gets a message.

use crate::queue::Queue;
use amqp_core::{Channel, Client, Failure, Method, Properties, Table};
use broker_core::Waiters;
use proa_sdk::{log, time};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a successor may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long one may take when this instance is about to end: in a swap it is on its way by then, in a shutdown there is none.
const CLOSING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// A queue that is held.
pub struct Held(Rc<State>);

#[derive(Default)]
struct State {
    over: Cell<bool>,
    changed: Waiters,
}

impl Held {
    pub fn is_over(&self) -> bool {
        self.0.over.get()
    }

    /// Waits for the successor, a moment at most.
    pub async fn handed_over(&self) {
        time::timeout(CLOSING, self.0.changed.until(|| self.0.over.get())).await;
    }
}

/// Returns once the queue is held on a channel of its own.
pub async fn begin(client: &Client, queue: &str) -> Option<Channel> {
    let channel = client.channel().await.ok()?;
    match hold(&channel, queue).await {
        Ok(()) => Some(channel),
        Err(error) => {
            log::warn(format!("rabbitmq pub/sub: cannot keep queue {queue} during a change: {error}"));
            channel.close().await;
            None
        }
    }
}

/// Lets go of it, in the background, once another consumer has come. The one that went before must be gone already.
pub async fn release(client: Client, channel: Channel, queue: &str) -> Held {
    let queue = Queue::named(queue);
    let state = Rc::new(State::default());
    let held = Held(state.clone());
    // Beside this one: other replicas', which keep the queue anyway.
    let alone = queue.consumers(&channel).await == Some(1);
    proa_sdk::spawn(async move {
        let begun = Instant::now();
        while alone && begun.elapsed() < LIMIT && !client.is_closed() && queue.consumers(&channel).await == Some(1) {
            time::sleep(LOOK).await;
        }
        state.over.set(true);
        state.changed.wake();
        channel.close().await;
    });
    held
}

async fn hold(channel: &Channel, name: &str) -> Result<(), Failure> {
    let own =
        Method::QueueDeclare { name: String::new(), passive: false, durable: false, exclusive: true, auto_delete: true, arguments: Table::new() };
    let Method::QueueDeclareOk { name: own, .. } = channel.call(&own).await? else { return Err(Failure::Lost) };
    channel.call(&Method::Qos { count: 1, global: true }).await?;
    channel.publish("", &own, &Properties::default(), b"").await?;
    let got = Rc::new(Cell::new(false));
    let (saturated, waiters) = (got.clone(), Rc::new(Waiters::default()));
    let wake = waiters.clone();
    let sink = Rc::new(move |_| {
        saturated.set(true);
        wake.wake();
    });
    channel.consume(&own, "", Table::new(), sink.clone()).await?;
    if time::timeout(Duration::from_secs(2), waiters.until(|| got.get())).await.is_none() {
        return Err(Failure::Lost);
    }
    channel.consume(name, "", Table::new(), sink).await
}
