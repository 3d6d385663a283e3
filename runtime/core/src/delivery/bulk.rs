//! Several messages in one call: one call a path, an answer an entry. An entry without an answer is to be delivered again.

use super::message::{Route, span, told, told_expired};
use super::{dead, decode};
use crate::app::{BulkDelivery, BulkEntry, BulkEvent, BulkReply, ChannelError, DeliveryStatus};
use crate::cloud_event;
use crate::metrics::Flow;
use crate::resiliency::{Judged, Stopped, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::slots::Slot;
use crate::trace::{self, Span};
use bytes::Bytes;
use proa_host::kinds::pubsub::{Message, Verdict};
use proa_host::manifest::Kind;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.runtime.processor.subscription";

/// What is to become of one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Success,
    /// To the dead letter topic, or nowhere.
    Drop,
    /// Nowhere at all.
    Unwanted,
    Retry,
    /// Nothing is said of it.
    Unanswered,
}

/// One message of a batch.
struct Part {
    message: Message,
    fate: Fate,
}

/// Delivers a batch: the verdicts by message id. Every message is counted once.
pub(super) async fn deliver(
    runtime: &Arc<Runtime>,
    slot: &Slot,
    route: &Route,
    messages: Vec<Message>,
    over: &CancellationToken,
) -> Vec<(String, Verdict)> {
    let begun = Instant::now();
    let mut parts: Vec<Part> = messages.into_iter().map(|message| Part { message, fate: Fate::Retry }).collect();
    for (path, group) in groups(route, &mut parts) {
        let answers = call(runtime, slot, route, path, &group, over).await;
        for (index, fate) in group.into_iter().map(|(index, _)| index).zip(answers) {
            if let Some(part) = parts.get_mut(index) {
                part.fate = fate;
            }
        }
    }
    let elapsed = begun.elapsed();
    let mut counts: HashMap<&'static str, u64> = HashMap::new();
    let mut verdicts = Vec::with_capacity(parts.len());
    for part in parts {
        let message_id = part.message.id.clone();
        let (status, verdict) = settled(runtime, slot, route, part).await;
        *counts.entry(status).or_default() += 1;
        verdicts.extend(verdict.map(|v| (message_id, v)));
    }
    let metrics = runtime.metrics();
    metrics.pubsub_ingress_bulk(&slot.name, &route.source.topic, elapsed);
    counts.into_iter().for_each(|(status, count)| metrics.pubsub_ingress_bulk_entries(&slot.name, &route.source.topic, status, count));
    verdicts
}

/// The entries of one path, with the places of their messages.
type Group = Vec<(usize, BulkEntry)>;

/// What goes where, in the order of the messages. What goes nowhere has its fate already.
fn groups(route: &Route, parts: &mut [Part]) -> Vec<(String, Group)> {
    let mut groups: Vec<(String, Group)> = Vec::new();
    for (index, part) in parts.iter_mut().enumerate() {
        match entry(route, &part.message) {
            Ok((path, entry)) => match groups.iter_mut().find(|(p, _)| *p == path) {
                Some((_, group)) => group.push((index, entry)),
                None => groups.push((path, vec![(index, entry)])),
            },
            Err(fate) => part.fate = fate,
        }
    }
    groups
}

fn entry(route: &Route, message: &Message) -> Result<(String, BulkEntry), Fate> {
    let source = &route.source;
    let raw = route.raw().map_err(|_| Fate::Retry)?;
    let (path, event) = if raw {
        (route.path(&serde_json::Map::new()).map(str::to_owned), BulkEvent::Raw(Bytes::copy_from_slice(&message.data)))
    } else {
        let event = decode::event(&source.topic, &source.pubsub, message, false).map_err(|why| {
            tracing::error!(target: LOG, "error deserializing one of the messages in bulk cloud event in pubsub {} and topic {}: {why}", source.pubsub, source.topic);
            Fate::Retry
        })?;
        if cloud_event::expired(&event) {
            told_expired(&event);
            return Err(Fate::Drop);
        }
        (route.path(&event).map(str::to_owned), BulkEvent::CloudEvent(Value::Object(event)))
    };
    let Some(path) = path else {
        tracing::warn!(target: LOG, "No matching route for event in pubsub {} and topic {}; skipping", source.pubsub, source.topic);
        return Err(Fate::Drop);
    };
    let id = uuid::Uuid::new_v4().to_string();
    Ok((path, BulkEntry { id, event, content_type: message.content_type.clone(), metadata: message.metadata.clone() }))
}

/// Hands a group over under the policies of what the broker delivers: the fates in its order. Another attempt holds only what is to come
/// again. Each event that says something about its trace has a span.
async fn call(runtime: &Runtime, slot: &Slot, route: &Route, path: String, group: &Group, over: &CancellationToken) -> Vec<Fate> {
    let Some(app) = runtime.app.get() else { return vec![Fate::Unanswered; group.len()] };
    let spans: Vec<(usize, Span)> = group.iter().enumerate().filter_map(|(at, (_, entry))| Some((at, traced(runtime, route, entry)?))).collect();
    let policy = runtime.resiliency().component(Kind::Pubsub, &slot.name, Flow::Inbound);
    let known = Mutex::new(vec![Fate::Retry; group.len()]);
    let judge = |outcome: &Result<bool, ChannelError>| match outcome {
        Ok(true) => Judgement::Success,
        Ok(false) => Judgement::Failure,
        Err(error) => error.verdict(),
    };
    let attempt = |_| {
        let (path, known) = (path.clone(), &known);
        async move {
            let again = places(&lock(known));
            let part: Vec<&BulkEntry> = again.iter().filter_map(|at| group.get(*at)).map(|(_, entry)| entry).collect();
            let entries = part.iter().map(|entry| (*entry).clone()).collect();
            let delivery = BulkDelivery { subscription: route.source.clone(), id: uuid::Uuid::new_v4().to_string(), path, entries };
            let reply = app.deliver_bulk(delivery).await;
            let failed = reply.as_ref().err().cloned();
            let fates = fates(reply, &part);
            let complete = !fates.contains(&Fate::Retry);
            let mut known = lock(known);
            for (at, fate) in again.into_iter().zip(fates) {
                if let Some(known) = known.get_mut(at) {
                    *known = fate;
                }
            }
            failed.map_or(Ok(complete), Err)
        }
    };
    let within = spans.first().map(|(_, span)| span.clone());
    let outcome = trace::within(within, policy.run_until(Some(over), judge, attempt)).await;
    let mut fates = known.into_inner().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        // The broker keeps what the application has not taken.
        Err(Stopped::Ended) => fates.iter_mut().filter(|fate| **fate == Fate::Retry).for_each(|fate| *fate = Fate::Unanswered),
        Err(stopped) => drop(told(&slot.name, &stopped)),
        Ok(_) => {}
    }
    for (at, span) in spans {
        if matches!(fates.get(at), Some(Fate::Retry | Fate::Unanswered)) {
            span.fail("the event was not taken");
        }
        span.end();
    }
    fates
}

fn lock(known: &Mutex<Vec<Fate>>) -> MutexGuard<'_, Vec<Fate>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be delivered, or to be delivered again.
fn places(fates: &[Fate]) -> Vec<usize> {
    fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Retry).map(|(at, _)| at).collect()
}

fn traced(runtime: &Runtime, route: &Route, entry: &BulkEntry) -> Option<Span> {
    match &entry.event {
        BulkEvent::CloudEvent(Value::Object(event)) => span(runtime, event, &route.source.topic),
        _ => None,
    }
}

fn fates(reply: Result<BulkReply, ChannelError>, group: &[&BulkEntry]) -> Vec<Fate> {
    let statuses: HashMap<String, DeliveryStatus> = match reply {
        Ok(BulkReply::Unwanted) => return vec![Fate::Unwanted; group.len()],
        Err(error) => {
            tracing::warn!(target: LOG, "{error}");
            return vec![Fate::Retry; group.len()];
        }
        Ok(BulkReply::Statuses(statuses)) => statuses.into_iter().collect(),
    };
    for stranger in statuses.keys().filter(|id| !group.iter().any(|e| e.id == **id)) {
        tracing::warn!(target: LOG, "Invalid entry id received from app while processing pub/sub event {stranger}");
    }
    let fate = |entry: &BulkEntry| match statuses.get(&entry.id) {
        Some(DeliveryStatus::Success) => Fate::Success,
        Some(DeliveryStatus::Drop) => {
            tracing::warn!(target: LOG, "DROP status returned from app while processing pub/sub event {}", entry.id);
            Fate::Drop
        }
        Some(DeliveryStatus::Unwanted) => Fate::Unwanted,
        Some(DeliveryStatus::Unanswered) => Fate::Unanswered,
        Some(DeliveryStatus::Retry) => Fate::Retry,
        None => {
            tracing::warn!(target: LOG, "response not received, RETRY required while processing bulk subscribe event for entry id: {}", entry.id);
            Fate::Retry
        }
    };
    group.iter().map(|entry| fate(entry)).collect()
}

/// How a message is counted and what the broker is told.
async fn settled(runtime: &Runtime, slot: &Slot, route: &Route, part: Part) -> (&'static str, Option<Verdict>) {
    let buried = !route.dead_letter_topic.is_empty() && matches!(part.fate, Fate::Drop | Fate::Retry);
    if buried {
        return match dead::bury(runtime, slot, &route.dead_letter_topic, part.message).await {
            Ok(()) => ("drop", Some(Verdict::Ack)),
            Err(_) => ("retry", Some(Verdict::Retry)),
        };
    }
    match part.fate {
        Fate::Success => ("success", Some(Verdict::Ack)),
        Fate::Drop | Fate::Unwanted => ("drop", Some(Verdict::Drop)),
        Fate::Retry => ("retry", Some(Verdict::Retry)),
        Fate::Unanswered => ("retry", None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn entries() -> Vec<BulkEntry> {
        let entry = |id: &str| BulkEntry { id: id.into(), event: BulkEvent::Raw(Bytes::new()), content_type: None, metadata: Vec::new() };
        vec![entry("a"), entry("b"), entry("c")]
    }

    fn fates_of(reply: Result<BulkReply, ChannelError>) -> Vec<Fate> {
        fates(reply, &entries().iter().collect::<Vec<_>>())
    }

    #[test]
    fn an_entry_without_an_answer_comes_again() {
        let statuses =
            vec![("c".to_owned(), DeliveryStatus::Drop), ("a".to_owned(), DeliveryStatus::Success), ("x".to_owned(), DeliveryStatus::Success)];
        assert_eq!(fates_of(Ok(BulkReply::Statuses(statuses))), [Fate::Success, Fate::Retry, Fate::Drop]);
    }

    #[test]
    fn another_attempt_holds_what_is_to_come_again() {
        assert_eq!(places(&[Fate::Success, Fate::Retry, Fate::Drop, Fate::Retry, Fate::Unanswered]), [1, 3]);
    }

    #[test]
    fn a_failed_call_is_a_retry_and_an_unknown_one_is_not() {
        let error = ChannelError { status: Some(500), message: "no".into() };
        assert_eq!(fates_of(Err(error)), [Fate::Retry; 3]);
        assert_eq!(fates_of(Ok(BulkReply::Unwanted)), [Fate::Unwanted; 3]);
    }
}
