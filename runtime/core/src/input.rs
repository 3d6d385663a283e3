//! Input bindings: one loop a component, pulled like a broker.

use crate::app::{BindingDelivery, BindingReply, ChannelError};
use crate::metrics::{Family, Flow};
use crate::resiliency::{Judged, Spare, Stopped, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::slots::Slot;
use crate::trace::{self, Link, Span};
use bytes::Bytes;
use futures::future::join_all;
use proa_host::generation::Generation;
use proa_host::kinds::bindings::{Error, Event, Verdict};
use proa_host::manifest::Kind;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const BATCH: u32 = 16;
const WAIT: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(30);
const BACKOFF: Duration = Duration::from_millis(500);

/// The loops that run, and which bindings the application wants.
#[derive(Default)]
pub struct Inputs {
    running: tokio::sync::Mutex<HashMap<String, (CancellationToken, JoinHandle<()>)>>,
    wanted: tokio::sync::Mutex<HashMap<String, bool>>,
    /// Nothing begins any more.
    closed: AtomicBool,
}

impl Inputs {
    pub async fn stop_all(&self) {
        let running: Vec<_> = self.running.lock().await.drain().map(|(_, r)| r).collect();
        running.iter().for_each(|(stop, _)| stop.cancel());
        // A loop that does not end in its drain time is left to the end of the runtime.
        let _ = tokio::time::timeout(DRAIN, join_all(running.into_iter().map(|(_, task)| task))).await;
    }

    /// Ends everything, for good.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.stop_all().await;
    }
}

/// Starts a loop for each input binding that has none and that the application wants; ends those whose component is gone.
pub async fn start_all(runtime: &Arc<Runtime>) {
    if runtime.app.get().is_none() {
        return;
    }
    for slot in runtime.slots.of_kind(Kind::Bindings) {
        let reads = slot.peek().is_some_and(|c| c.generation.offers("bindings/input"));
        let running = runtime.inputs.running.lock().await.get(&slot.name).is_some_and(|(_, task)| !task.is_finished());
        if !reads || running || !wanted(runtime, &slot).await {
            continue;
        }
        let mut running = runtime.inputs.running.lock().await;
        if runtime.inputs.closed.load(Ordering::SeqCst) {
            return;
        }
        let stop = CancellationToken::new();
        let (runtime_, slot_, stop_) = (runtime.clone(), slot.clone(), stop.clone());
        let task = tokio::spawn(async move { run(runtime_, slot_, stop_).await });
        running.insert(slot.name.clone(), (stop, task));
    }
    runtime.inputs.running.lock().await.retain(|name, (stop, _)| {
        let there = runtime.slots.find(Kind::Bindings, name).is_some();
        if !there {
            stop.cancel();
        }
        there
    });
}

fn route(slot: &Slot) -> String {
    let route = slot.peek().and_then(|c| c.prepared.get("route").map(str::to_owned));
    route.unwrap_or_else(|| slot.name.clone())
}

/// A stated direction says it; otherwise the application is asked, once.
async fn wanted(runtime: &Arc<Runtime>, slot: &Slot) -> bool {
    let direction = slot.peek().and_then(|c| c.prepared.get("direction").map(str::to_lowercase));
    if let Some(direction) = direction {
        return direction.split(',').any(|d| d.trim() == "input");
    }
    let mut known = runtime.inputs.wanted.lock().await;
    if let Some(wanted) = known.get(&slot.name) {
        return *wanted;
    }
    let Some(app) = runtime.app.get() else { return false };
    let answer = app.binding_wanted(&slot.name, &route(slot), runtime.options().binding_options_timeout).await;
    let wanted = answer.unwrap_or_else(|error| {
        tracing::error!(target: "dapr.runtime.processor.binding", "could not invoke OPTIONS method on input binding subscription endpoint {:?}: {error}", route(slot));
        false
    });
    if !wanted {
        tracing::info!(target: "dapr.runtime.processor.binding", "app has not subscribed to binding {}.", slot.name);
    }
    known.insert(slot.name.clone(), wanted);
    wanted
}

async fn run(runtime: Arc<Runtime>, slot: Arc<Slot>, stop: CancellationToken) {
    let mut changes = slot.watch();
    while !stop.is_cancelled() {
        changes.borrow_and_update();
        let Some(lease) = slot.lease().await else {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
            continue;
        };
        let generation = lease.generation.clone();
        drop(lease);
        if let Err(error) = read(&runtime, &slot, &generation, &stop).await {
            if !stop.is_cancelled() {
                tracing::error!(target: "dapr.runtime.processor.binding", "error reading from input binding {}: {error}", slot.name);
            }
            tokio::select! {
                () = tokio::time::sleep(BACKOFF) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

fn error_text(error: &Error) -> String {
    match error {
        Error::UnsupportedOperation(t) | Error::InvalidArgument(t) | Error::NotFound(t) | Error::Unavailable(t) | Error::Other(t) => t.clone(),
        Error::Rejected((t, _, _)) => t.clone(),
    }
}

async fn read(runtime: &Arc<Runtime>, slot: &Arc<Slot>, generation: &Arc<Generation>, stop: &CancellationToken) -> Result<(), String> {
    let binding = generation.binding();
    let told = |r: Result<Result<(), Error>, proa_host::CallError>| r.map_err(|e| e.to_string())?.map_err(|e| error_text(&e));
    told(binding.start().await)?;
    let number = generation.identity().generation;
    let mut changes = slot.watch();
    loop {
        let receive = binding.receive(BATCH, WAIT.as_millis() as u32);
        tokio::pin!(receive);
        let (received, over) = tokio::select! {
            received = &mut receive => (received, false),
            () = async { tokio::select! { _ = changes.wait_for(|n| *n != number) => {}, () = stop.cancelled() => {} } } => {
                // Stopping makes the pending receive return what it has.
                let _ = binding.stop().await;
                (receive.await, true)
            }
        };
        let events = match received {
            Ok(Ok(events)) => events,
            _ if over => return Ok(()),
            Ok(Err(error)) => return Err(error_text(&error)),
            Err(error) => return Err(error.to_string()),
        };
        for event in events {
            let (runtime, slot, generation) = (runtime.clone(), slot.clone(), generation.clone());
            let id = event.id.clone();
            let ending = stop.child_token();
            let delivering = deliver(&runtime, &slot, event, &ending);
            tokio::pin!(delivering);
            let verdict = tokio::select! {
                verdict = &mut delivering => verdict,
                () = async { drop(changes.wait_for(|n| *n != number).await) } => {
                    ending.cancel();
                    delivering.await
                }
            };
            let Some(verdict) = verdict else { return Ok(()) };
            // The component decides what becomes of an event whose verdict is lost.
            let _ = generation.binding().settle(vec![(id, verdict)]).await;
        }
        if over {
            return Ok(());
        }
    }
}

/// The span of an event's way to the application.
fn span(runtime: &Runtime, slot: &Slot, event: &Event) -> Option<Span> {
    let told = |name: &str| proa_model::lookup(&event.metadata, name);
    let parent = told("traceparent").and_then(|parent| Link::from_text(parent, told("tracestate")));
    let span = runtime.tracer().start(trace::Kind::Client, || format!("bindings/{}", slot.name), parent)?;
    let url = match runtime.options().app_protocol.is_grpc() {
        true => "/dapr.proto.runtime.v1.AppCallback/OnBindingEvent".to_owned(),
        false => format!("POST /{}", slot.name),
    };
    for (name, value) in [("db.name", slot.name.as_str()), ("rpc.service", "Dapr"), ("db.system", "bindings"), ("db.connection_string", &url)] {
        span.set(name, value);
    }
    Some(span)
}

/// None: `stop` came before the application had taken the event.
async fn deliver(runtime: &Arc<Runtime>, slot: &Arc<Slot>, event: Event, stop: &CancellationToken) -> Option<Verdict> {
    let begun = Instant::now();
    let span = span(runtime, slot, &event);
    let delivery = BindingDelivery {
        name: slot.name.clone(),
        route: route(slot),
        traceparent: match &span {
            Some(span) => Some(span.context().text()),
            None => proa_model::lookup(&event.metadata, "traceparent").map(str::to_owned),
        },
        tracestate: match &span {
            Some(span) => span.link().state.as_deref().map(str::to_owned),
            None => proa_model::lookup(&event.metadata, "tracestate").map(str::to_owned),
        },
        data: Bytes::from(event.data),
        content_type: event.content_type,
        metadata: event.metadata,
    };
    let answer = trace::within(span.clone(), to_app(runtime, slot, delivery, stop)).await;
    if let Some(span) = &span {
        if let Some(Err(error)) = &answer {
            span.fail(error.message.clone());
        }
        span.end();
    }
    let answer = answer?;
    runtime.metrics().component(Family::InputBinding, &slot.name, "").observe(answer.is_ok(), begun.elapsed());
    Some(match answer {
        Ok(reply) => match trace::within(span, crate::services::bindings::carry_out(runtime, &reply)).await {
            Ok(()) => Verdict::Handled(reply.data.map(|d| d.to_vec())),
            Err(error) => {
                tracing::error!(target: "dapr.runtime.processor.binding", "error handling response of binding {}: {error}", slot.name);
                Verdict::Failed(error.to_string())
            }
        },
        Err(error) => {
            tracing::debug!(target: "dapr.runtime.processor.binding", "error from app consumer for binding [{}]: {error}", slot.name);
            Verdict::Failed(error.message)
        }
    })
}

/// Hands an event to the application under the policies of what the binding delivers. None: `stop` came between two attempts.
async fn to_app(runtime: &Runtime, slot: &Slot, delivery: BindingDelivery, stop: &CancellationToken) -> Option<Result<BindingReply, ChannelError>> {
    let policy = runtime.resiliency().component(Kind::Bindings, &slot.name, Flow::Inbound);
    let deliveries = Spare::cloned(delivery, &policy);
    let failed = |message: &str| ChannelError { status: None, message: message.into() };
    let judge = |outcome: &Result<BindingReply, ChannelError>| outcome.as_ref().map_or_else(ChannelError::verdict, |_| Judgement::Success);
    let attempt = |_| {
        let delivery = deliveries.take();
        async move {
            match (runtime.app.get(), delivery) {
                (Some(app), Some(delivery)) => app.binding_event(delivery).await,
                _ => Err(failed("no application")),
            }
        }
    };
    match policy.run_until(Some(stop), judge, attempt).await {
        Ok(outcome) => Some(outcome),
        Err(Stopped::Ended) => None,
        Err(stopped) => Some(Err(failed(&stopped.to_string()))),
    }
}
