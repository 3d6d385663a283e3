//! From brokers to the application: one loop a subscription. It pulls, hands out by lane, and settles what the application answered.
//!
//! A swap only means that the loop stops receiving on the old generation and starts on the new one. Nothing is received whose
//! answer is not waited for: the window bounds what is in flight, and with it memory.

mod message;
mod rule;

use crate::app::{AppSubscription, ChannelError, Rule};
use crate::resiliency::{BuiltIn, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::slots::Slot;
use message::{Route, deliver};
use proa_host::generation::Generation;
use proa_host::kinds::pubsub::{Message, SubscribeRequest, Verdict};
use proa_host::manifest::Kind;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Messages of one subscription that may be with the application at a time.
const WINDOW: u32 = 64;
/// How long a receive waits for the first message.
const WAIT: Duration = Duration::from_secs(5);
/// How long verdicts may wait for what is still with the application when a subscription ends.
const DRAIN: Duration = Duration::from_secs(30);
/// How long the start waits for the first subscriptions.
const FIRST: Duration = Duration::from_secs(5);
/// The first and the longest pause before a failed subscription is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Where a subscription was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Declarative,
    Programmatic,
}

/// A subscription in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub spec: AppSubscription,
    pub origin: Origin,
}

struct Running {
    subscription: Subscription,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The loops that run.
#[derive(Default)]
pub struct Deliveries {
    running: tokio::sync::Mutex<HashMap<(String, String), Running>>,
    /// Ended subscriptions whose last messages are with the application.
    draining: TaskTracker,
    programmatic: Mutex<Option<Vec<AppSubscription>>>,
    shown: Mutex<Vec<Subscription>>,
}

impl Deliveries {
    /// The subscriptions in force, for the metadata API.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.shown.lock().map(|s| s.clone()).unwrap_or_default()
    }

    pub async fn stop_all(&self) {
        let running: Vec<Running> = self.running.lock().await.drain().map(|(_, r)| r).collect();
        running.iter().for_each(|r| r.stop.cancel());
        for r in running {
            // A loop that does not end in its drain time is left to the end of the runtime.
            let _ = tokio::time::timeout(DRAIN, r.task).await;
        }
        // Open again when the application is well again.
        self.draining.close();
        let _ = tokio::time::timeout(DRAIN, self.draining.wait()).await;
        self.draining.reopen();
    }
}

/// Brings the loops in line with what is subscribed to now.
pub async fn start_all(runtime: &Arc<Runtime>) {
    let wanted = wanted(runtime).await;
    let shown = wanted.clone();
    let mut running = runtime.deliveries.running.lock().await;
    let mut wanted: HashMap<(String, String), (Subscription, Arc<Slot>)> = wanted
        .into_iter()
        .filter_map(|s| {
            let slot = runtime.slots.find(Kind::Pubsub, &s.spec.pubsub_name)?;
            Some(((s.spec.pubsub_name.clone(), s.spec.topic.clone()), (s, slot)))
        })
        .collect();
    let mut ended = Vec::new();
    running.retain(|key, r| {
        let keep = wanted.get(key).is_some_and(|(s, _)| *s == r.subscription) && !r.task.is_finished();
        if keep {
            wanted.remove(key);
        } else {
            r.stop.cancel();
            ended.push(key.clone());
        }
        keep
    });
    let mut begun = Vec::new();
    for (key, (subscription, slot)) in wanted {
        let (stop, first) = (CancellationToken::new(), CancellationToken::new());
        let (runtime, spec, token, tried) = (runtime.clone(), subscription.spec.clone(), stop.clone(), first.clone());
        // However the loop ends, nobody waits for it to begin any more.
        let task = tokio::spawn(async move { run(runtime, slot, spec, token, tried.drop_guard()).await });
        running.insert(key, Running { subscription, stop, task });
        begun.push(first);
    }
    drop(running);
    let all = async {
        for first in begun {
            first.cancelled().await;
        }
    };
    // A broker that is slow to subscribe does not hold up the rest.
    let _ = tokio::time::timeout(FIRST, all).await;
    if let Ok(mut list) = runtime.deliveries.shown.lock() {
        *list = shown;
    }
}

/// Declarative subscriptions of this application, then the application's own; one of the same broker and topic replaces the former.
async fn wanted(runtime: &Arc<Runtime>) -> Vec<Subscription> {
    let mut all: Vec<Subscription> = Vec::new();
    for s in &runtime.reconciler.current().subscriptions {
        let spec = AppSubscription {
            pubsub_name: s.pubsubname.clone(),
            topic: s.topic.clone(),
            dead_letter_topic: s.dead_letter_topic.clone().unwrap_or_default(),
            metadata: s.metadata.clone().into_iter().collect(),
            rules: s.rules.iter().map(|r| Rule { match_expr: r.match_.clone(), path: r.path.clone() }).collect(),
            default_path: s.default_path.clone().unwrap_or_default(),
            bulk: None,
        };
        if !all.iter().any(|o| o.spec.pubsub_name == spec.pubsub_name && o.spec.topic == spec.topic) {
            all.push(Subscription { spec, origin: Origin::Declarative });
        }
    }
    for spec in programmatic(runtime).await {
        all.retain(|o| o.spec.pubsub_name != spec.pubsub_name || o.spec.topic != spec.topic);
        all.push(Subscription { spec, origin: Origin::Programmatic });
    }
    all.retain(|s| permitted(runtime, &s.spec));
    all
}

fn permitted(runtime: &Runtime, spec: &AppSubscription) -> bool {
    let Some(current) = runtime.slots.find(Kind::Pubsub, &spec.pubsub_name).and_then(|s| s.peek()) else { return true };
    let may = current.prepared.topics.may_subscribe(&spec.topic);
    if !may {
        tracing::warn!(target: "dapr.runtime.processor.subscription", "subscription to topic '{}' on pubsub '{}' is not allowed", spec.topic, spec.pubsub_name);
    }
    may
}

/// What the application subscribes to; asked once.
async fn programmatic(runtime: &Arc<Runtime>) -> Vec<AppSubscription> {
    let known = runtime.deliveries.programmatic.lock().ok().and_then(|p| p.clone());
    if let Some(known) = known {
        return known;
    }
    let Some(app) = runtime.app.get() else { return Vec::new() };
    let skip = runtime.options().disable_init_endpoints.iter().any(|e| e == "subscribe");
    if skip {
        tracing::info!(target: "dapr.runtime", "Skipping programmatic subscription loading");
    }
    let mut list = Vec::new();
    if !skip {
        let policy = runtime.resiliency().built_in(BuiltIn::Initialization);
        let judge = |outcome: &Result<_, ChannelError>| outcome.as_ref().map_or(Judgement::Failure, |_| Judgement::Success);
        match policy.run(judge, |_| app.subscriptions()).await {
            Ok(Ok(subscriptions)) => list = subscriptions,
            Ok(Err(error)) => tracing::error!(target: "dapr.runtime.processor.subscription", "failed to get the app's subscriptions: {error}"),
            Err(stopped) => tracing::error!(target: "dapr.runtime.processor.subscription", "failed to get the app's subscriptions: {stopped}"),
        }
    }
    if let Ok(mut known) = runtime.deliveries.programmatic.lock() {
        *known = Some(list.clone());
    }
    list
}

/// The topic as the broker knows it.
pub fn broker_topic(runtime: &Runtime, namespaced: bool, topic: &str) -> String {
    if namespaced { format!("{}{topic}", runtime.options().namespace) } else { topic.to_owned() }
}

/// `first` is let go of when the first subscription has been tried.
async fn run(runtime: Arc<Runtime>, slot: Arc<Slot>, spec: AppSubscription, stop: CancellationToken, first: DropGuard) {
    let mut first = Some(first);
    let route = match Route::new(&spec) {
        Ok(route) => Arc::new(route),
        Err(error) => {
            tracing::error!(target: "dapr.runtime.pubsub", "subscription to topic {} on pubsub {} is not started: {error}", spec.topic, slot.name);
            return;
        }
    };
    let mut changes = slot.watch();
    let mut pause = BACKOFF.0;
    while !stop.is_cancelled() {
        let number = *changes.borrow_and_update();
        let Some(lease) = slot.lease().await else {
            // The slot is empty: a removal, or a component that is not there yet.
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
            continue;
        };
        let generation = lease.generation.clone();
        let topic = broker_topic(&runtime, lease.prepared.namespaced, &spec.topic);
        drop(lease);
        if number != generation.identity().generation {
            // The number follows the pointer at once.
            tokio::task::yield_now().await;
        }
        match subscribed(&runtime, &slot, &generation, &topic, &route, &stop, &mut first).await {
            Ok(()) => pause = BACKOFF.0,
            Err(error) if stop.is_cancelled() => tracing::debug!(target: "dapr.runtime.pubsub", "{error}"),
            Err(error) => {
                tracing::error!(target: "dapr.runtime.pubsub", "subscription to topic {} on pubsub {}: {error}; trying again in {}ms", spec.topic, slot.name, pause.as_millis());
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = changes.changed() => {}
                    () = stop.cancelled() => return,
                }
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

/// Receives from one generation until it is replaced, the subscription ends, or it fails.
async fn subscribed(
    runtime: &Arc<Runtime>,
    slot: &Arc<Slot>,
    generation: &Arc<Generation>,
    topic: &str,
    route: &Arc<Route>,
    stop: &CancellationToken,
    first: &mut Option<DropGuard>,
) -> Result<(), String> {
    let broker = generation.pubsub();
    let request = SubscribeRequest { topic: topic.to_owned(), metadata: route.source.metadata.clone(), window: WINDOW };
    let subscribed = broker.subscribe(request).await;
    *first = None;
    let id = subscribed.map_err(|e| e.to_string())?.map_err(|e| message::error_text(&e))?;
    tracing::debug!(target: "dapr.runtime.pubsub", "subscribed to topic {topic} on pubsub {} (generation {})", slot.name, generation.identity().generation);
    let window = Arc::new(Semaphore::new(WINDOW as usize));
    let (verdicts, settler) = settle(generation.clone(), id);
    let mut lanes = Lanes::default();
    let mut changes = slot.watch();
    let number = generation.identity().generation;
    let outcome = loop {
        let room = tokio::select! {
            permits = window.clone().acquire_owned() => permits,
            () = ended(&mut changes, number, stop) => break Ok(()),
        };
        let Ok(first) = room else { break Ok(()) };
        let max = 1 + window.available_permits() as u32;
        let receive = broker.receive(id, max, WAIT.as_millis() as u32);
        tokio::pin!(receive);
        let (received, over) = tokio::select! {
            received = &mut receive => (received, false),
            () = ended(&mut changes, number, stop) => {
                lanes.over.cancel();
                // What the pending receive may still bring must not be lost: ending the subscription makes it return.
                let _ = broker.unsubscribe(id).await;
                (receive.await, true)
            }
        };
        let messages = match received.map_err(|e| e.to_string()).and_then(|r| r.map_err(|e| message::error_text(&e))) {
            Ok(messages) => messages,
            Err(_) if over => break Ok(()),
            Err(error) => break Err(error),
        };
        let mut first = Some(first);
        for message in messages {
            let permit = match first.take() {
                Some(permit) => permit,
                None => match window.clone().acquire_owned().await {
                    Ok(permit) => permit,
                    Err(_) => break,
                },
            };
            lanes.dispatch(runtime, slot, route, message, permit, verdicts.clone());
        }
        if over {
            break Ok(());
        }
    };
    lanes.ending.cancel();
    drop(verdicts);
    finish(runtime, generation, id, settler).await;
    outcome
}

/// Waits until the generation is not the current one any more, or must be handed back, or the subscription ends.
async fn ended(changes: &mut tokio::sync::watch::Receiver<u64>, number: u64, stop: &CancellationToken) {
    tokio::select! {
        _ = changes.wait_for(|n| *n != number) => {}
        () = stop.cancelled() => {}
    }
}

/// Leaves what is with the application to be settled in its own time, so that a successor can start at once.
async fn finish(runtime: &Runtime, generation: &Arc<Generation>, id: u64, settler: JoinHandle<()>) {
    let generation = generation.clone();
    // Ending it twice does no harm.
    let _ = generation.pubsub().unsubscribe(id).await;
    runtime.deliveries.draining.spawn(async move {
        let _ = tokio::time::timeout(DRAIN, settler).await;
        // Said again when nothing is out any more: what was received and not settled goes back to the broker.
        let _ = generation.pubsub().unsubscribe(id).await;
    });
}

type Verdicts = mpsc::Sender<(String, Verdict)>;

/// Settles verdicts in batches, in a task of its own; it ends when the last sender is gone.
fn settle(generation: Arc<Generation>, id: u64) -> (Verdicts, JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::channel(WINDOW as usize);
    let task = tokio::spawn(async move {
        let mut batch = Vec::new();
        while receiver.recv_many(&mut batch, WINDOW as usize).await > 0 {
            let outcome = generation.pubsub().settle(id, std::mem::take(&mut batch)).await;
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(target: "dapr.runtime.pubsub", "cannot settle messages of {}: {}", generation.identity().name, message::error_text(&error))
                }
                Err(error) => tracing::warn!(target: "dapr.runtime.pubsub", "cannot settle messages of {}: {error}", generation.identity().name),
            }
        }
    });
    (sender, task)
}

/// The last message of each lane that is still on its way.
#[derive(Default)]
struct Lanes {
    tails: HashMap<String, oneshot::Receiver<()>>,
    /// Set when the generation is handed back: what still waits for its turn is left to the successor.
    over: CancellationToken,
    /// Set when the subscription ends: nothing is tried again then.
    ending: CancellationToken,
}

impl Lanes {
    /// Hands a message out; one of a lane waits for the one before it.
    fn dispatch(
        &mut self,
        runtime: &Arc<Runtime>,
        slot: &Arc<Slot>,
        route: &Arc<Route>,
        message: Message,
        permit: OwnedSemaphorePermit,
        verdicts: Verdicts,
    ) {
        let (done, before) = match &message.lane {
            None => (None, None),
            Some(lane) => {
                if self.tails.len() > 1024 {
                    self.tails.retain(|_, tail| matches!(tail.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
                }
                let (done, tail) = oneshot::channel();
                (Some(done), self.tails.insert(lane.clone(), tail))
            }
        };
        let (runtime, slot, route, over, ending) = (runtime.clone(), slot.clone(), route.clone(), self.over.clone(), self.ending.clone());
        tokio::spawn(async move {
            if let Some(before) = before {
                // Ends with its sender, however that one ended.
                let _ = before.await;
                if over.is_cancelled() {
                    // Not settled: the broker hands it out again, and nobody has seen it twice.
                    return;
                }
            }
            let id = message.id.clone();
            let verdict = deliver(&runtime, &slot, &route, message, &ending).await;
            if verdict.is_none() {
                // What comes after it in its lane is not to overtake it.
                over.cancel();
            }
            drop(done);
            if let Some(verdict) = verdict {
                // The settler is gone only with the generation; the broker will hand the message out again.
                let _ = verdicts.send((id, verdict)).await;
            }
            drop(permit);
        });
    }
}
