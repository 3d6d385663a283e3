//! One message: what event it is, which path it goes to, what the application's answer means for the broker.

use super::rule::Compiled;
use crate::app::{AppChannel, AppSubscription, ChannelError, DeliveryStatus, Source, TopicDelivery};
use crate::call::guarded;
use crate::cloud_event;
use crate::metrics::Flow;
use crate::resiliency::{Judged, Spare, Stopped, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::slots::Slot;
use crate::trace::{self, Link, Span};
use proa_host::kinds::pubsub::{Error, Message, PublishRequest, Verdict};
use proa_host::manifest::Kind;
use proa_resources::is_truthy;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a dead letter may take, retries included.
const DEAD_LETTER: Duration = Duration::from_secs(30);

/// Where the events of a subscription go.
pub struct Route {
    pub source: Arc<Source>,
    rules: Vec<Compiled>,
    default_path: String,
    dead_letter_topic: String,
    raw: bool,
}

pub fn error_text(error: &Error) -> String {
    match error {
        Error::InvalidArgument(t) | Error::NotFound(t) | Error::Denied(t) | Error::Unavailable(t) | Error::Other(t) => t.clone(),
    }
}

impl Route {
    /// The error names the rule that does not compile.
    pub fn new(spec: &AppSubscription) -> Result<Self, String> {
        let raw = proa_model::lookup(&spec.metadata, "rawPayload").is_some_and(is_truthy);
        let source = Source { pubsub: spec.pubsub_name.clone(), topic: spec.topic.clone(), metadata: spec.metadata.clone() };
        let rules = spec.rules.iter().map(|r| Compiled::new(&r.match_expr, &r.path).map_err(|e| format!("rule {:?}: {e}", r.match_expr)));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            source: Arc::new(source),
            default_path: spec.default_path.clone(),
            dead_letter_topic: spec.dead_letter_topic.clone(),
            raw,
        })
    }

    /// The path of an event; none: nobody wants it.
    fn path(&self, event: &Map<String, Value>) -> Option<&str> {
        let rule = self.rules.iter().find(|r| r.matches(event));
        rule.map(|r| r.path.as_str()).or(Some(self.default_path.as_str()).filter(|p| !p.is_empty()))
    }
}

fn text(event: &Map<String, Value>, name: &str) -> Option<String> {
    event.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// Delivers and tells the broker's verdict. Every way out is counted. None: `over` came before the application had taken the message,
/// and the broker is to hand it out again.
pub async fn deliver(runtime: &Arc<Runtime>, slot: &Slot, route: &Route, message: Message, over: &CancellationToken) -> Option<Verdict> {
    let begun = Instant::now();
    let (status, verdict) = process(runtime, slot, route, message, over).await?;
    runtime.metrics().pubsub_ingress(&slot.name, &route.source.topic, status, "", begun.elapsed());
    Some(verdict)
}

async fn process(runtime: &Arc<Runtime>, slot: &Slot, route: &Route, message: Message, over: &CancellationToken) -> Option<(&'static str, Verdict)> {
    let source = &route.source;
    let event = match cloud_event::received(&source.topic, &source.pubsub, &message.data, route.raw, &message.metadata) {
        Ok(event) => event,
        Err(why) => {
            tracing::error!(target: "dapr.runtime.pubsub", "error deserializing cloud event in pubsub {} and topic {}: {why}", source.pubsub, source.topic);
            return Some(dead_letter(runtime, slot, route, message, Verdict::Retry, "retry").await);
        }
    };
    if cloud_event::expired(&event) {
        tracing::warn!(target: "dapr.runtime.pubsub", "dropping expired pub/sub event {} as of its expiration", text(&event, "id").unwrap_or_default());
        return Some(dead_letter(runtime, slot, route, message, Verdict::Drop, "drop").await);
    }
    let Some(path) = route.path(&event).map(str::to_owned) else {
        tracing::warn!(target: "dapr.runtime.pubsub", "no matching route for event in pubsub {} and topic {}; skipping", source.pubsub, source.topic);
        return Some(dead_letter(runtime, slot, route, message, Verdict::Drop, "drop").await);
    };
    let Some(app) = runtime.app.get() else { return Some(("retry", Verdict::Retry)) };
    let body = match cloud_event::to_bytes(&event) {
        Ok(body) => body,
        Err(why) => {
            tracing::error!(target: "dapr.runtime.pubsub", "cannot write cloud event: {why}");
            return Some(("drop", Verdict::Drop));
        }
    };
    let id = text(&event, "id").unwrap_or_default();
    let span = span(runtime, &event, &source.topic);
    let delivery = TopicDelivery {
        subscription: source.clone(),
        path,
        traceparent: match &span {
            Some(span) => Some(span.context().text()),
            None => text(&event, "traceparent").or_else(|| text(&event, "traceid")),
        },
        tracestate: match &span {
            Some(span) => span.link().state.as_deref().map(str::to_owned),
            None => text(&event, "tracestate"),
        },
        cloud_event: Value::Object(event),
        raw_payload: route.raw,
        body,
        content_type: cloud_event::JSON.to_owned(),
        metadata: message.metadata.clone(),
    };
    let answer = trace::within(span.clone(), to_app(runtime, app.as_ref(), slot, delivery, over)).await;
    if let Some(span) = span {
        if let Some(Err(error)) = &answer {
            span.fail(error.message.clone());
        }
        span.end();
    }
    let settled = match answer? {
        Ok(DeliveryStatus::Success) => ("success", Verdict::Ack),
        Ok(DeliveryStatus::Drop) => dead_letter(runtime, slot, route, message, Verdict::Drop, "drop").await,
        Ok(DeliveryStatus::Retry) => {
            tracing::warn!(target: "dapr.runtime.pubsub", "RETRY status returned from app while processing pub/sub event {id}");
            dead_letter(runtime, slot, route, message, Verdict::Retry, "retry").await
        }
        Err(error) => {
            tracing::error!(target: "dapr.runtime.pubsub", "{error}");
            dead_letter(runtime, slot, route, message, Verdict::Retry, "retry").await
        }
    };
    Some(settled)
}

/// Hands an event to the application under the policies of what the broker delivers. None: `over` came between two attempts.
async fn to_app(
    runtime: &Runtime,
    app: &dyn AppChannel,
    slot: &Slot,
    delivery: TopicDelivery,
    over: &CancellationToken,
) -> Option<Result<DeliveryStatus, ChannelError>> {
    let policy = runtime.resiliency().component(Kind::Pubsub, &slot.name, Flow::Inbound);
    let topic = delivery.subscription.topic.clone();
    let deliveries = Spare::cloned(delivery, &policy);
    let judge = |outcome: &Result<DeliveryStatus, ChannelError>| match outcome {
        Ok(DeliveryStatus::Retry) => Judgement::Failure,
        Ok(_) => Judgement::Success,
        Err(error) => {
            tracing::warn!(target: "dapr.runtime.pubsub", "encountered a retriable error while publishing a subscribed message to topic {topic}, err: {error}");
            error.verdict()
        }
    };
    let attempt = |_| {
        let delivery = deliveries.take();
        async move {
            match delivery {
                Some(delivery) => app.deliver(delivery).await,
                None => Err(ChannelError { status: None, message: "the event was handed over already".into() }),
            }
        }
    };
    match policy.run_until(Some(over), judge, attempt).await {
        Ok(outcome) => Some(outcome),
        Err(Stopped::Ended) => None,
        Err(stopped) => Some(Err(ChannelError { status: None, message: stopped.to_string() })),
    }
}

/// The span of a delivery; none for an event that says nothing about its trace.
fn span(runtime: &Runtime, event: &Map<String, Value>, topic: &str) -> Option<Span> {
    let parent = event.get("traceparent").filter(|p| !p.is_null()).or_else(|| event.get("traceid"))?.as_str()?;
    let parent = Link::from_text(parent, event.get("tracestate").and_then(Value::as_str));
    let span = runtime.tracer().start(trace::Kind::Client, || format!("pubsub/{topic}"), parent)?;
    span.set("messaging.system", "pubsub");
    span.set("messaging.destination.name", topic);
    Some(span)
}

/// With a dead letter topic, what cannot be delivered goes there and is done with.
async fn dead_letter(
    runtime: &Arc<Runtime>,
    slot: &Slot,
    route: &Route,
    message: Message,
    otherwise: Verdict,
    status: &'static str,
) -> (&'static str, Verdict) {
    if route.dead_letter_topic.is_empty() {
        return (status, otherwise);
    }
    let publish = guarded(runtime, slot, false, None, Error::verdict, |lease| {
        let topic = super::broker_topic(runtime, lease.prepared.namespaced, &route.dead_letter_topic);
        let (content_type, metadata) = (message.content_type.clone(), message.metadata.clone());
        let request = PublishRequest { topic, data: message.data.clone(), content_type, metadata };
        async move { lease.generation.pubsub().publish(request).await }
    });
    let why = match tokio::time::timeout(DEAD_LETTER, publish).await {
        Ok(Ok(Ok(()))) => return ("drop", Verdict::Ack),
        Ok(Ok(Err(error))) => error_text(&error),
        Ok(Err(error)) => error.to_string(),
        Err(_) => Stopped::Timeout.to_string(),
    };
    tracing::error!(target: "dapr.runtime.pubsub", "failed to publish to dead letter topic {}: {why}", route.dead_letter_topic);
    ("retry", Verdict::Retry)
}
