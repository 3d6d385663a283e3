//! From brokers to the application: which subscriptions there are, and the loop of each.
//!
//! Subscriptions of the application begin and end with its health; streams that it opens itself and the relays of outboxes do not.

mod batch;
mod bulk;
mod dead;
mod decode;
mod lanes;
mod message;
mod pull;
mod relay;
mod rule;
pub mod stream;
mod target;
mod work;

use crate::app::{AppSubscription, Bulk, ChannelError, Rule};
use crate::resiliency::{BuiltIn, Verdict as Judgement};
use crate::runtime::Runtime;
use crate::slots::Slot;
use futures::future::join_all;
pub(crate) use message::error_text;
use message::{Route, Sink};
use proa_host::manifest::Kind;
use pull::{DRAIN, Predecessor, Pull};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use target::Target;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the start waits for the first subscriptions.
const FIRST: Duration = Duration::from_secs(5);

/// Where a subscription was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Declarative,
    Programmatic,
    Streaming,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declarative => "DECLARATIVE",
            Self::Programmatic => "PROGRAMMATIC",
            Self::Streaming => "STREAMING",
        }
    }
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
    released: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn predecessor(self) -> Predecessor {
        self.stop.cancel();
        Predecessor { released: self.released, task: self.task }
    }
}

/// The loops that run.
#[derive(Default)]
pub struct Deliveries {
    running: tokio::sync::Mutex<HashMap<(String, String), Running>>,
    programmatic: Mutex<Option<Vec<AppSubscription>>>,
    shown: Mutex<Vec<Subscription>>,
    streams: stream::Streams,
    relays: relay::Relays,
    /// Nothing begins any more.
    closed: AtomicBool,
}

impl Deliveries {
    /// The subscriptions in force, for the metadata API.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let mut all = self.shown.lock().map(|s| s.clone()).unwrap_or_default();
        all.extend(self.streams.subscriptions());
        all
    }

    fn closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Ends the subscriptions of the application, and waits for what is with it.
    pub async fn stop_all(&self) {
        let running: Vec<Running> = self.running.lock().await.drain().map(|(_, r)| r).collect();
        running.iter().for_each(|r| r.stop.cancel());
        // A loop that does not end in its drain time is left to the end of the runtime.
        let _ = tokio::time::timeout(DRAIN, join_all(running.into_iter().map(|r| r.task))).await;
    }

    /// Ends everything, for good.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        tokio::join!(self.stop_all(), self.streams.close(), self.relays.close());
    }
}

/// Brings the loops in line with what is subscribed to now.
pub async fn start_all(runtime: &Arc<Runtime>) {
    let shown = stated(runtime, programmatic(runtime).await);
    let permitted: Vec<Subscription> = shown.iter().filter(|s| permitted(runtime, &s.spec)).cloned().collect();
    let mut running = runtime.deliveries.running.lock().await;
    if runtime.deliveries.closed() {
        return;
    }
    let mut wanted: HashMap<(String, String), (Subscription, Arc<Slot>)> = permitted
        .iter()
        .cloned()
        .filter_map(|s| {
            let slot = runtime.slots.find(Kind::Pubsub, &s.spec.pubsub_name)?;
            Some(((s.spec.pubsub_name.clone(), s.spec.topic.clone()), (s, slot)))
        })
        .collect();
    wanted.retain(|key, (s, _)| !running.get(key).is_some_and(|r| *s == r.subscription && !r.task.is_finished()));
    let kept = |key: &(String, String)| permitted.iter().any(|s| s.spec.pubsub_name == key.0 && s.spec.topic == key.1);
    let gone: Vec<_> = running.keys().filter(|key| !kept(key) || runtime.slots.find(Kind::Pubsub, &key.0).is_none()).cloned().collect();
    for key in gone {
        if let Some(ended) = running.remove(&key) {
            // Its loop drains on its own.
            ended.stop.cancel();
        }
    }
    let mut begun = Vec::new();
    for (key, (subscription, slot)) in wanted {
        // A change that does not work leaves what ran.
        let Some(route) = route(&subscription.spec) else { continue };
        let predecessor = running.remove(&key).map(Running::predecessor);
        let (next, first) = begin(runtime, slot, subscription, route, predecessor);
        running.insert(key, next);
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

fn route(spec: &AppSubscription) -> Option<Route> {
    let told = |error: &String| {
        tracing::error!(target: "dapr.runtime.pubsub", "subscription to topic {} on pubsub {} is not started: {error}", spec.topic, spec.pubsub_name);
    };
    Route::new(spec, Sink::App).inspect_err(told).ok()
}

/// Starts a loop; the token is cancelled when it has subscribed, or cannot.
fn begin(
    runtime: &Arc<Runtime>,
    slot: Arc<Slot>,
    subscription: Subscription,
    route: Route,
    predecessor: Option<Predecessor>,
) -> (Running, CancellationToken) {
    let (stop, released, first) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let pull = Pull {
        runtime: runtime.clone(),
        slot,
        target: Arc::new(Target::Events(route)),
        stop: stop.clone(),
        released: released.clone(),
        // However the loop ends, nobody waits for it to begin any more.
        first: Some(first.clone().drop_guard()),
        predecessor,
    };
    let task = tokio::spawn(pull.run());
    (Running { subscription, stop, released, task }, first)
}

/// What is subscribed to, permitted or not: declarative subscriptions of this application, then the application's own; one of the same broker and topic replaces the former.
fn stated(runtime: &Runtime, programmatic: Vec<AppSubscription>) -> Vec<Subscription> {
    let mut all: Vec<Subscription> = Vec::new();
    for s in &runtime.reconciler.current().subscriptions {
        let spec = AppSubscription {
            pubsub_name: s.pubsubname.clone(),
            topic: s.topic.clone(),
            dead_letter_topic: s.dead_letter_topic.clone().unwrap_or_default(),
            metadata: s.metadata.clone().into_iter().collect(),
            rules: s.rules.iter().map(|r| Rule { match_expr: r.match_.clone(), path: r.path.clone() }).collect(),
            default_path: s.default_path.clone().unwrap_or_default(),
            bulk: Some(&s.bulk_subscribe).filter(|b| b.enabled).map(|b| Bulk {
                enabled: true,
                max_messages: u32::try_from(b.max_messages_count).unwrap_or(0),
                max_await_ms: u32::try_from(b.max_await_duration_ms).unwrap_or(0),
            }),
        };
        if !all.iter().any(|o| o.spec.pubsub_name == spec.pubsub_name && o.spec.topic == spec.topic) {
            all.push(Subscription { spec, origin: Origin::Declarative });
        }
    }
    for spec in programmatic {
        all.retain(|o| o.spec.pubsub_name != spec.pubsub_name || o.spec.topic != spec.topic);
        all.push(Subscription { spec, origin: Origin::Programmatic });
    }
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
    if !runtime.slots.any(Kind::Pubsub) {
        // Asked when there is a broker.
        return Vec::new();
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
    let mut topics: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    list.iter().for_each(|s| topics.entry(&s.pubsub_name).or_default().push(&s.topic));
    for (pubsub, topics) in topics {
        let topics = topics.join(" ");
        tracing::info!(target: "dapr.runtime.processor.subscription", "app is subscribed to the following topics: [[{topics}]] through pubsub={pubsub}");
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

/// Streams whose broker is gone end; relays follow what the state stores say. What is stated is shown although nobody can be called, but
/// not while its port is waited for: who sees a subscription relies on it. Where its health is asked for, Dapr shows them from the start.
pub fn reconcile(runtime: &Arc<Runtime>) {
    runtime.deliveries.streams.reconcile(runtime);
    relay::reconcile(runtime);
    let options = runtime.options();
    let (reached, awaited) = (runtime.app.get().is_some(), options.app_port.is_some() && options.app_health.is_none());
    if (reached && runtime.app_is_well()) || (!reached && awaited) {
        return;
    }
    let known = runtime.deliveries.programmatic.lock().ok().and_then(|p| p.clone()).unwrap_or_default();
    let stated = stated(runtime, known);
    if let Ok(mut shown) = runtime.deliveries.shown.lock() {
        *shown = stated;
    }
}
