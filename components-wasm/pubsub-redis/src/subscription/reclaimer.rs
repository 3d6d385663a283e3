//! Takes over, once every redeliverInterval, what any consumer of the group has left unsettled for processingTimeout.

use super::Subscription;
use proa_sdk::{log, time};
use std::time::Duration;

pub(super) async fn run(subscription: &Subscription) {
    let settings = &subscription.stream.client.settings().pubsub;
    if let Err(error) = subscription.stream.tidy().await {
        log::debug(format!("redis streams: error tidying the group of {}: {error}", subscription.stream.topic));
    }
    // Either being zero turns redelivery off.
    if settings.processing_timeout.is_zero() || settings.redeliver_interval.is_zero() {
        return;
    }
    while !subscription.ending.get() {
        if subscription.is_asked() {
            forget_lost(subscription, settings.processing_timeout);
            if let Err(error) = pass(subscription, settings.processing_timeout).await {
                log::error(format!("redis streams: error reclaiming pending messages of {}: {error}", subscription.stream.topic));
            }
        }
        time::timeout(settings.redeliver_interval, subscription.tasks.until(|| subscription.ending.get())).await;
    }
}

async fn pass(subscription: &Subscription, idle: Duration) -> Result<(), redis_core::Error> {
    while !subscription.ending.get() {
        let overdue = subscription.stream.overdue(idle, subscription.room()).await?;
        // What waits in the buffer here is not left behind by anybody.
        let waiting = |id: &str| subscription.buffer.borrow().iter().any(|e| e.id == id);
        let overdue: Vec<_> = overdue.into_iter().filter(|p| !waiting(&p.id)).collect();
        let taken = subscription.stream.claim(&overdue, idle).await?;
        if taken.is_empty() {
            break;
        }
        subscription.put(taken);
    }
    Ok(())
}

/// A message that has been out for longer is another reader's to have: it no longer counts here.
fn forget_lost(subscription: &Subscription, idle: Duration) {
    let lost = subscription.out.borrow_mut().extract_if(|_, since| since.elapsed() > idle).count();
    subscription.handouts.returned(lost);
}
