//! One message: what event it is, which path it goes to, what the application's answer means for the broker.

use super::batch::Batching;
use super::decode;
use super::rule::Compiled;
use crate::app::{AppSubscription, ChannelError, DeliveryStatus, EventStream, Source, TopicDelivery};
use crate::cloud_event;
use crate::metrics::Flow;
use crate::resiliency::{Judged, Spare, Stopped, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::services::pubsub::raw_payload;
use crate::slots::Slot;
use crate::trace::{self, Link, Span};
use proa_host::kinds::pubsub::{Error, Message, Verdict};
use proa_host::manifest::Kind;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.runtime.processor.subscription";

/// Who gets the events of a subscription.
pub(super) enum Sink {
    /// The application, where it listens.
    App,
    /// The stream that the application has opened.
    Stream(Arc<dyn EventStream>),
}

type Answer = Result<DeliveryStatus, ChannelError>;

impl Sink {
    /// Hands an event over under the policies of what the broker delivers. None: `over` came between two attempts.
    async fn deliver(&self, runtime: &Runtime, slot: &Slot, delivery: TopicDelivery, over: &CancellationToken) -> Option<Answer> {
        let policy = runtime.resiliency().component(Kind::Pubsub, &slot.name, Flow::Inbound);
        let deliveries = Spare::cloned(delivery, &policy);
        let judge = |answer: &Answer| match answer {
            Ok(DeliveryStatus::Retry) => Judgement::Failure,
            Ok(_) => Judgement::Success,
            Err(error) => error.verdict(),
        };
        let attempt = |_| {
            let delivery = deliveries.take();
            async move {
                match delivery {
                    Some(delivery) => self.once(runtime, delivery).await,
                    None => Err(ChannelError { status: None, message: "the event was handed over already".into() }),
                }
            }
        };
        match policy.run_until(Some(over), judge, attempt).await {
            Ok(answer) => Some(answer),
            Err(Stopped::Ended) => None,
            Err(stopped) => Some(Err(told(&slot.name, &stopped))),
        }
    }

    /// One attempt; what speaks for another one is told.
    async fn once(&self, runtime: &Runtime, delivery: TopicDelivery) -> Answer {
        let topic = delivery.subscription.topic.clone();
        let id = text(&delivery.cloud_event, "id").unwrap_or_default();
        let answer = match self {
            Self::Stream(stream) => stream.deliver(delivery).await,
            Self::App => match runtime.app.get() {
                Some(app) => app.deliver(delivery).await,
                None => Ok(DeliveryStatus::Unanswered),
            },
        };
        match &answer {
            Ok(DeliveryStatus::Retry) => {
                tracing::warn!(target: LOG, "RETRY status returned from app while processing pub/sub event {id}");
            }
            Err(error) => {
                tracing::warn!(target: LOG, "encountered a retriable error while publishing a subscribed message to topic {topic}, err: {error}");
            }
            Ok(_) => {}
        }
        answer
    }
}

/// A policy stood before the application's answer.
pub(super) fn told(pubsub: &str, stopped: &Stopped) -> ChannelError {
    tracing::error!(target: LOG, "error delivering a message of pubsub {pubsub}: {stopped}");
    ChannelError { status: None, message: stopped.to_string() }
}

/// Where the events of a subscription go.
pub struct Route {
    pub source: Arc<Source>,
    rules: Vec<Compiled>,
    default_path: String,
    pub(super) dead_letter_topic: String,
    /// The error is for each message: a malformed subscription loses none.
    raw: Result<bool, String>,
    pub(super) sink: Sink,
    pub(super) batching: Option<Batching>,
}

pub fn error_text(error: &Error) -> String {
    match error {
        Error::InvalidArgument(t) | Error::NotFound(t) | Error::Denied(t) | Error::Unavailable(t) | Error::Other(t) => t.clone(),
    }
}

impl Route {
    /// The error names the rule that does not compile.
    pub(super) fn new(spec: &AppSubscription, sink: Sink) -> Result<Self, String> {
        let source = Source { pubsub: spec.pubsub_name.clone(), topic: spec.topic.clone(), metadata: spec.metadata.clone() };
        let rules = spec.rules.iter().map(|r| Compiled::new(&r.match_expr, &r.path).map_err(|e| format!("rule {:?}: {e}", r.match_expr)));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            source: Arc::new(source),
            default_path: spec.default_path.clone(),
            dead_letter_topic: spec.dead_letter_topic.clone(),
            raw: raw_payload(&spec.metadata),
            sink,
            batching: spec.bulk.as_ref().filter(|b| b.enabled).map(|b| Batching::new(b.max_messages, b.max_await_ms)),
        })
    }

    /// The path of an event; none: nobody wants it.
    pub(super) fn path(&self, event: &Map<String, Value>) -> Option<&str> {
        let rule = self.rules.iter().find(|r| r.matches(event));
        rule.map(|r| r.path.as_str()).or(Some(self.default_path.as_str()).filter(|p| !p.is_empty()))
    }

    /// Whether messages are taken as they are, without an envelope.
    pub(super) fn raw(&self) -> Result<bool, String> {
        self.raw.clone().inspect_err(|why| tracing::error!(target: LOG, "error deserializing pubsub metadata: {why}"))
    }

    /// The event in a message.
    fn event(&self, message: &Message) -> Result<Map<String, Value>, String> {
        let raw = self.raw()?;
        let (topic, pubsub) = (&self.source.topic, &self.source.pubsub);
        decode::event(topic, pubsub, message, raw).inspect_err(|why| {
            tracing::error!(target: LOG, "error deserializing cloud event in pubsub {pubsub} and topic {topic}: {why}");
        })
    }
}

fn text(event: &Value, name: &str) -> Option<String> {
    event.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

pub(super) fn id(event: &Map<String, Value>) -> &str {
    event.get("id").and_then(Value::as_str).unwrap_or("<nil>")
}

/// What became of a message: as it is counted, and what the broker is told; none: nothing.
pub(super) struct Outcome {
    process: &'static str,
    status: &'static str,
    verdict: Option<Verdict>,
}

impl Outcome {
    fn new(process: &'static str, verdict: Verdict) -> Self {
        Self { process, status: "", verdict: Some(verdict) }
    }

    /// The application, or nobody's wish for it, has dropped it.
    fn dropped() -> Self {
        Self { status: "success", ..Self::new("drop", Verdict::Drop) }
    }

    fn retry() -> Self {
        Self::new("retry", Verdict::Retry)
    }
}

/// Delivers and tells the broker's verdict. Every way out is counted. None: the broker is told nothing and hands the message out again,
/// because `over` came before the application had taken it, or because nobody answered.
pub async fn deliver(runtime: &Arc<Runtime>, slot: &Slot, route: &Route, message: Message, over: &CancellationToken) -> Option<Verdict> {
    let begun = Instant::now();
    let outcome = process(runtime, slot, route, message, over).await?;
    runtime.metrics().pubsub_ingress(&slot.name, &route.source.topic, outcome.process, outcome.status, begun.elapsed());
    outcome.verdict
}

async fn process(runtime: &Arc<Runtime>, slot: &Slot, route: &Route, message: Message, over: &CancellationToken) -> Option<Outcome> {
    let source = &route.source;
    let Ok(event) = route.event(&message) else {
        return Some(dead_letter(runtime, slot, route, message, Outcome::retry()).await);
    };
    if cloud_event::expired(&event) {
        told_expired(&event);
        return Some(dead_letter(runtime, slot, route, message, Outcome::new("drop", Verdict::Drop)).await);
    }
    let Some(path) = route.path(&event).map(str::to_owned) else {
        tracing::debug!(
            target: LOG,
            "no matching route for event {} in pubsub {} and topic {}; skipping", id(&event), source.pubsub, source.topic
        );
        return Some(dead_letter(runtime, slot, route, message, Outcome::dropped()).await);
    };
    let span = span(runtime, &event, &source.topic);
    let delivery = match delivery(route, event, path, &message, span.as_ref()) {
        Ok(delivery) => delivery,
        Err(why) => {
            tracing::error!(target: LOG, "error serializing cloud event in pubsub {} and topic {}: {why}", source.pubsub, source.topic);
            return Some(dead_letter(runtime, slot, route, message, Outcome::retry()).await);
        }
    };
    let answer = trace::within(span.clone(), route.sink.deliver(runtime, slot, delivery, over)).await;
    if let Some(span) = span {
        if let Some(Err(error)) = &answer {
            span.fail(error.message.clone());
        }
        span.end();
    }
    Some(match answer? {
        Ok(DeliveryStatus::Success) => Outcome::new("success", Verdict::Ack),
        Ok(DeliveryStatus::Unwanted) => Outcome::new("drop", Verdict::Drop),
        Ok(DeliveryStatus::Unanswered) => Outcome { verdict: None, ..Outcome::retry() },
        Ok(DeliveryStatus::Drop) => dead_letter(runtime, slot, route, message, Outcome::dropped()).await,
        Ok(DeliveryStatus::Retry) | Err(_) => dead_letter(runtime, slot, route, message, Outcome::retry()).await,
    })
}

/// The span of a delivery; none for an event that says nothing about its trace.
pub(super) fn span(runtime: &Runtime, event: &Map<String, Value>, topic: &str) -> Option<Span> {
    let parent = event.get("traceparent").filter(|p| !p.is_null()).or_else(|| event.get("traceid"))?.as_str()?;
    let parent = Link::from_text(parent, event.get("tracestate").and_then(Value::as_str));
    let span = runtime.tracer().start(trace::Kind::Client, || format!("pubsub/{topic}"), parent)?;
    span.set("messaging.system", "pubsub");
    span.set("messaging.destination.name", topic);
    Some(span)
}

pub(super) fn told_expired(event: &Map<String, Value>) {
    let at = event.get("expiration").and_then(Value::as_str).unwrap_or_default();
    tracing::warn!(target: LOG, "dropping expired pub/sub event {} as of {at}", id(event));
}

fn delivery(route: &Route, event: Map<String, Value>, path: String, message: &Message, span: Option<&Span>) -> Result<TopicDelivery, String> {
    let body = cloud_event::to_bytes(&event)?;
    let event = Value::Object(event);
    Ok(TopicDelivery {
        subscription: route.source.clone(),
        path,
        traceparent: match span {
            Some(span) => Some(span.context().text()),
            // An empty one is told as a trace that nobody follows, a missing one not at all.
            None => event.get("traceparent").or_else(|| event.get("traceid")).and_then(Value::as_str).map(str::to_owned),
        },
        tracestate: match span {
            Some(span) => span.link().state.as_deref().map(str::to_owned),
            None => text(&event, "tracestate"),
        },
        cloud_event: event,
        raw_payload: route.raw.clone().unwrap_or(false),
        body,
        content_type: cloud_event::JSON.to_owned(),
        metadata: message.metadata.clone(),
    })
}

/// With a dead letter topic, what cannot be delivered goes there and is done with.
async fn dead_letter(runtime: &Runtime, slot: &Slot, route: &Route, message: Message, otherwise: Outcome) -> Outcome {
    if route.dead_letter_topic.is_empty() {
        return otherwise;
    }
    let dropped = otherwise.process == "drop";
    match super::dead::bury(runtime, slot, &route.dead_letter_topic, message).await {
        Ok(()) if dropped => Outcome { verdict: Some(Verdict::Ack), ..otherwise },
        Ok(()) => Outcome::new("drop", Verdict::Ack),
        Err(_) => Outcome::retry(),
    }
}
