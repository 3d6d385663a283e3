//! Publishing: scopes, envelopes, expiry, one message or many.

mod refusal;

use crate::call::{Operation, call_judged, guarded};
use crate::cloud_event::{self, Draft};
use crate::metrics::Family;
use crate::options::{Cx, Transport};
use crate::resiliency::Verdict;
use crate::runtime::Runtime;
use crate::slots::{Current, Slot};
use crate::trace::{self, Span};
use bytes::Bytes;
use proa_host::kinds::pubsub::{Entry, PublishRequest};
use proa_host::manifest::Kind;
use proa_model::{Error, Metadata, error, lookup};
use refusal::{Refusal, answered, sent};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub struct Publish {
    pub pubsub: String,
    pub topic: String,
    pub data: Bytes,
    pub content_type: String,
    pub metadata: Metadata,
}

#[derive(Clone)]
pub struct BulkEntry {
    pub id: String,
    pub data: Bytes,
    pub content_type: String,
    pub metadata: Metadata,
}

#[derive(Debug, PartialEq)]
pub struct FailedEntry {
    pub id: String,
    pub error: String,
}

/// The broker for a topic, once everything that speaks against it is ruled out.
fn find(runtime: &Runtime, pubsub: &str, topic: &str) -> Result<Arc<Slot>, Error> {
    let app_id = &runtime.options().app_id;
    if pubsub.is_empty() {
        return Err(error::pubsub::name_empty(app_id));
    }
    let slot = match runtime.slots.find(Kind::Pubsub, pubsub).filter(|s| s.peek().is_some()) {
        Some(slot) => slot,
        None => return Err(error::pubsub::not_found(pubsub, app_id)),
    };
    if topic.is_empty() {
        return Err(error::pubsub::topic_empty(pubsub, app_id));
    }
    Ok(slot)
}

fn permitted(runtime: &Runtime, slot: &Slot, topic: &str) -> Result<(), Error> {
    let app_id = &runtime.options().app_id;
    let Some(current) = slot.peek() else { return Err(error::pubsub::vanished(&slot.name, topic)) };
    if current.prepared.topics.may_publish(topic) {
        return Ok(());
    }
    let why = format!("topic {topic} is not allowed for app id {app_id}");
    Err(error::pubsub::forbidden(&slot.name, topic, app_id, &why))
}

/// Whether `rawPayload` asks for no envelope; it has to be a truth value as Go reads one.
pub(crate) fn raw_payload(metadata: &Metadata) -> Result<bool, String> {
    match lookup(metadata, "rawPayload") {
        None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
        Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
        Some(other) => Err(format!("rawPayload value must be a valid boolean: actual is '{other}'")),
    }
}

/// Everything that speaks against a publication before its data are looked at; transports ask before they take the data apart.
pub fn check(runtime: &Runtime, pubsub: &str, topic: &str, metadata: &Metadata) -> Result<(), Error> {
    find(runtime, pubsub, topic)?;
    raw_payload(metadata).map(drop).map_err(|why| error::pubsub::metadata(pubsub, &runtime.options().app_id, &why))
}

/// What the broker gets: the data as they are, or in an envelope.
fn payload(runtime: &Runtime, cx: &Cx, slot: &Slot, topic: &str, entry: &BulkEntry) -> Result<(Bytes, Option<String>), Error> {
    let app_id = &runtime.options().app_id;
    if raw_payload(&entry.metadata).map_err(|why| error::pubsub::metadata(&slot.name, app_id, &why))? {
        return Ok((entry.data.clone(), Some(entry.content_type.clone()).filter(|c| !c.is_empty())));
    }
    let draft = Draft {
        source: app_id,
        topic,
        pubsub: &slot.name,
        content_type: &entry.content_type,
        data: &entry.data,
        metadata: &entry.metadata,
        traceparent: cx.traceparent.as_deref(),
        tracestate: cx.tracestate.as_deref(),
    };
    let mut event = cloud_event::envelope(&draft).map_err(|why| error::pubsub::cloud_event(&slot.name, app_id, &why))?;
    if let Some(ttl) = lookup(&entry.metadata, "ttlInSeconds").filter(|_| !keeps_ttl(slot)) {
        let seconds =
            ttl.parse().map_err(|_| error::pubsub::cloud_event(&slot.name, app_id, &format!("ttlInSeconds: {ttl:?} is not a number of seconds")))?;
        cloud_event::expire_after(&mut event, seconds);
    }
    let bytes = cloud_event::to_bytes(&event).map_err(|why| error::pubsub::marshal_envelope(&slot.name, topic, app_id, &why))?;
    Ok((bytes, Some(cloud_event::JSON.to_owned())))
}

/// Whether the broker itself lets messages expire.
fn keeps_ttl(slot: &Slot) -> bool {
    slot.peek().is_some_and(|c| c.generation.capabilities().iter().any(|f| f == "MESSAGE_TTL"))
}

/// Data without an envelope have their trace beside them, when they come over gRPC, as with Dapr.
fn told_apart(cx: &Cx, metadata: &mut Metadata) {
    if cx.transport != Transport::Grpc || !raw_payload(metadata).unwrap_or(false) {
        return;
    }
    for (name, value) in [("traceid", &cx.traceparent), ("tracestate", &cx.tracestate)] {
        if let Some(value) = value {
            metadata.retain(|(known, _)| known != name);
            metadata.push((name.into(), value.clone()));
        }
    }
}

pub async fn publish(runtime: &Runtime, cx: &Cx, request: Publish) -> Result<(), Error> {
    let Publish { pubsub, topic, data, content_type, mut metadata } = request;
    let slot = find(runtime, &pubsub, &topic)?;
    told_apart(cx, &mut metadata);
    let entry = BulkEntry { id: String::new(), data, content_type, metadata };
    let (data, content_type) = payload(runtime, cx, &slot, &topic, &entry)?;
    permitted(runtime, &slot, &topic)?;
    let operation = Operation { family: Family::PubsubEgress, name: &topic, read: false };
    let judge = |refusal: &Refusal| refusal.verdict(cx.transport);
    let answer = call_judged(runtime, &slot, operation, judge, |lease| {
        let topic = crate::delivery::broker_topic(runtime, lease.prepared.namespaced, &topic);
        let request = PublishRequest { topic, data: data.to_vec(), content_type: content_type.clone(), metadata: entry.metadata.clone() };
        async move { answered(lease.generation.pubsub().publish(request).await) }
    })
    .await;
    let failed = |why: &str| error::pubsub::publish(&pubsub, &topic, why);
    answer.map_err(|e| failed(&e.to_string()))?.map_err(|e| failed(&e.text()))
}

/// The entries that failed. The whole call fails only when nothing could be tried.
pub async fn publish_bulk(
    runtime: &Runtime,
    cx: &Cx,
    pubsub: &str,
    topic: &str,
    mut entries: Vec<BulkEntry>,
    metadata: Metadata,
) -> Result<Vec<FailedEntry>, Error> {
    let slot = find(runtime, pubsub, topic)?;
    permitted(runtime, &slot, topic)?;
    let begun = Instant::now();
    let mut ready = Vec::with_capacity(entries.len());
    let mut spans = Vec::new();
    for entry in &mut entries {
        // What is said of the request is said of each entry, unless the entry says otherwise.
        let inherited = metadata.iter().filter(|(n, _)| lookup(&entry.metadata, n).is_none()).cloned().collect::<Vec<_>>();
        entry.metadata.extend(inherited);
        let span = produced(entry);
        let own = span.as_ref().map(|span| Cx::of(cx.transport, span, cx.baggage.clone()));
        spans.extend(span);
        let (data, content_type) = payload(runtime, own.as_ref().unwrap_or(cx), &slot, topic, entry)?;
        ready.push(Entry { id: entry.id.clone(), data: data.to_vec(), content_type, metadata: entry.metadata.clone() });
    }
    let count = ready.len();
    let failed = send_bulk(runtime, cx, &slot, topic, ready, metadata).await;
    for span in spans {
        if !failed.is_empty() {
            span.fail("some entries were not published");
        }
        span.end();
    }
    let published = (count - failed.len().min(count)) as u64;
    runtime.metrics().pubsub_egress_bulk(pubsub, topic, failed.is_empty(), published, begun.elapsed());
    Ok(failed)
}

/// The span of one entry of many; each event has a parent of its own.
fn produced(entry: &BulkEntry) -> Option<Span> {
    let span = trace::current().filter(|_| matches!(raw_payload(&entry.metadata), Ok(false)))?;
    let name = span.name().to_owned();
    Some(span.child(trace::Kind::Producer, name))
}

/// Sends what is left of the entries in each attempt.
async fn send_bulk(runtime: &Runtime, cx: &Cx, slot: &Slot, topic: &str, entries: Vec<Entry>, metadata: Metadata) -> Vec<FailedEntry> {
    let left = Mutex::new(entries);
    let lock = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let judge = |failed: &Vec<(String, Refusal)>| failed.first().map_or(Verdict::Failure, |(_, refusal)| refusal.verdict(cx.transport));
    let outcome = guarded(runtime, slot, false, None, judge, |lease| {
        let topic = crate::delivery::broker_topic(runtime, lease.prepared.namespaced, topic);
        let (entries, metadata) = (lock().clone(), metadata.clone());
        async move {
            let failed = send_once(&lease, topic, entries, metadata).await;
            lock().retain(|entry| failed.iter().any(|(id, _)| *id == entry.id));
            Ok(if failed.is_empty() { Ok(()) } else { Err(failed) })
        }
    })
    .await;
    match outcome {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(failed)) => failed.into_iter().map(|(id, error)| FailedEntry { id, error: error.text() }).collect(),
        Err(error) => lock().iter().map(|entry| FailedEntry { id: entry.id.clone(), error: error.to_string() }).collect(),
    }
}

/// The entries that failed.
async fn send_once(lease: &Current, topic: String, entries: Vec<Entry>, metadata: Metadata) -> Vec<(String, Refusal)> {
    let broker = lease.generation.pubsub();
    let mut failed = Vec::new();
    if lease.generation.offers("pubsub/bulk-publisher") {
        return match sent(broker.publish_bulk(topic, entries.clone(), metadata).await) {
            Ok(failed) => failed.into_iter().map(|(id, error)| (id, Refusal::Broker(error))).collect(),
            Err(error) => entries.into_iter().map(|entry| (entry.id, error.clone())).collect(),
        };
    }
    for entry in entries {
        let request = PublishRequest { topic: topic.clone(), data: entry.data, content_type: entry.content_type, metadata: entry.metadata };
        failed.extend(sent(broker.publish(request).await).err().map(|refusal| (entry.id, refusal)));
    }
    failed
}
