//! Keeps a queue that is deleted with its last consumer, until another consumer has come: the one that takes over in a swap.
//!
//! A second consumer stands in, on a channel that may have one unsettled message and already has one, from a queue of its own. So it counts as
//! a consumer and never gets a message.

use crate::queue::Queue;
use amqp_core::{Channel, Client, Failure, Method, Properties, Table};
use proa_sdk::{log, time};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a successor may take.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Returns once the queue is held. It is let go of in the background.
pub async fn queue(client: &Client, queue: &Queue) {
    let Ok(channel) = client.channel().await else { return };
    if let Err(error) = hold(&channel, &queue.name).await {
        log::warn(format!("rabbitmq pub/sub: cannot keep queue {} during a change: {error}", queue.name));
        channel.close().await;
        return;
    }
    let (client, name) = (client.clone(), queue.name.clone());
    let queue = Queue::named(&name);
    proa_sdk::spawn(async move {
        let begun = Instant::now();
        // This consumer, and the one that is about to be cancelled.
        time::sleep(LOOK).await;
        let mut alone = false;
        while begun.elapsed() < LIMIT && !client.is_closed() {
            match queue.consumers(&channel).await {
                None => break,
                Some(1) => alone = true,
                // Others read it, or the successor has come.
                Some(_) if alone || begun.elapsed() > Duration::from_secs(2) => break,
                Some(_) => {}
            }
            time::sleep(LOOK).await;
        }
        channel.close().await;
    });
}

async fn hold(channel: &Channel, name: &str) -> Result<(), Failure> {
    let own =
        Method::QueueDeclare { name: String::new(), passive: false, durable: false, exclusive: true, auto_delete: true, arguments: Table::new() };
    let Method::QueueDeclareOk { name: own, .. } = channel.call(&own).await? else { return Err(Failure::Lost) };
    channel.call(&Method::Qos { count: 1, global: true }).await?;
    channel.publish("", &own, &Properties::default(), b"").await?;
    let got = Rc::new(Cell::new(false));
    let (saturated, waiters) = (got.clone(), Rc::new(broker_core::Waiters::default()));
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
