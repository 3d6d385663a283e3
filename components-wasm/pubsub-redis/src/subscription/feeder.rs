//! Reads new entries ahead of the host, on a connection that blocks on the server, and picks up what others gave back.

use super::{PATIENCE, Subscription};
use crate::message::{Read, Stored};
use crate::stream::{HANDOVER, Stream};
use proa_sdk::{log, time};
use redis_core::{Dedicated, Error};
use std::time::{Duration, Instant};

/// How long a read blocks on the server, and with that how soon messages that somebody gave back are noticed: soon while a swap is likely
/// under way, more rarely on a subscription that has been there for a while.
const BLOCK_YOUNG: Duration = Duration::from_millis(500);
const BLOCK_OLD: Duration = Duration::from_secs(5);
const YOUNG: Duration = Duration::from_secs(120);

pub(super) async fn run(subscription: &Subscription, connection: Dedicated) {
    let started = Instant::now();
    let mut connection = Some(connection);
    let mut looked: Option<Instant> = None;
    let mut failures = 0;
    while !subscription.ending.get() {
        if !subscription.is_asked() {
            // The host has turned to something else, most likely to another generation: what waits here would wait long.
            subscription.give_back().await;
            subscription.tasks.until(|| subscription.ending.get() || subscription.receiving.get() > 0).await;
            continue;
        }
        if subscription.buffer.borrow().len() > subscription.capacity / 2 {
            let drained = || subscription.ending.get() || subscription.buffer.borrow().len() <= subscription.capacity / 2;
            time::timeout(PATIENCE, subscription.tasks.until(drained)).await;
            continue;
        }
        let block = if started.elapsed() < YOUNG { BLOCK_YOUNG } else { BLOCK_OLD };
        let outcome = match &mut connection {
            Some(connection) => turn(subscription, connection, block, &mut looked).await,
            None => match subscription.stream.client.dedicated(subscription.stream.topic.as_bytes()).await {
                Ok(opened) => {
                    connection = Some(opened);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        match outcome {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                recover(subscription, &error, &mut connection).await;
                time::sleep(subscription.stream.client.settings().backoff(failures).max(Duration::from_millis(50))).await;
            }
        }
    }
}

/// One look at what was given back, when it is due, and one read.
async fn turn(subscription: &Subscription, connection: &mut Dedicated, block: Duration, looked: &mut Option<Instant>) -> Result<(), Error> {
    let stream = &subscription.stream;
    if looked.is_none_or(|at| at.elapsed() >= block) {
        *looked = Some(Instant::now());
        let left = stream.pending("-", subscription.room(), Some(HANDOVER)).await?;
        let taken = stream.claim(&left, subscription.idle_limit()).await?;
        if !taken.is_empty() {
            // There may be more where these came from.
            *looked = None;
            subscription.put(taken);
            return Ok(());
        }
    }
    subscription.blocked.set(connection.id());
    let entries = read(subscription, connection, block).await;
    subscription.blocked.set(None);
    let (mut fresh, mut gone): (Vec<Stored>, Vec<String>) = (Vec::new(), Vec::new());
    for entry in entries? {
        match entry {
            Read::Entry(entry) => fresh.push(entry),
            Read::Gone(id) => gone.push(id),
        }
    }
    if !fresh.is_empty() {
        subscription.put(fresh);
    }
    stream.ack(&gone.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn read(subscription: &Subscription, connection: &mut Dedicated, block: Duration) -> Result<Vec<Read>, Error> {
    if subscription.ending.get() {
        return Ok(Vec::new());
    }
    let command = subscription.stream.read_command(subscription.room().max(1), block);
    let limit = subscription.stream.client.settings().command_timeout.map(|t| block + t);
    connection.call(&command, limit).await.map(Stream::entries)
}

async fn recover(subscription: &Subscription, error: &Error, connection: &mut Option<Dedicated>) {
    let stream = &subscription.stream;
    match error {
        Error::Server(text) if text.contains("NOGROUP") => {
            log::warn(format!(
                "redis streams: consumer group {} does not exist for stream {}: the server lost data, or somebody deleted it; it is made anew",
                stream.group, stream.topic
            ));
            if let Err(error) = stream.create_group().await {
                log::error(format!("redis streams: error creating the consumer group of {}: {error}", stream.topic));
            }
        }
        error => {
            log::error(format!("redis streams: error reading from stream {}: {error}", stream.topic));
            // A connection in an unknown state is not used again.
            if !matches!(error, Error::Server(_)) || error.is_transient() {
                *connection = None;
            }
        }
    }
}
