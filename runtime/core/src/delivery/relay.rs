//! The second half of an outbox: what its internal topic holds is published once the marker of its transaction is in the state store,
//! and the marker goes.
//!
//! A message whose marker does not come goes back to the broker, or is given up where the store's metadata say so; never because the
//! store cannot be asked. An event may be published twice when the sidecar ends right after publishing it; it keeps its id.

use super::pull::{DRAIN, Pull};
use super::target::Target;
use crate::outbox::{self, Config};
use crate::runtime::Runtime;
use crate::services::state::failure;
use futures::future::join_all;
use proa_host::kinds::pubsub::{Message, Verdict};
use proa_host::kinds::state::{Concurrency, Consistency, DeleteRequest, GetRequest};
use proa_host::manifest::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.outbox";
/// How long a marker may take to come. The transaction begins only after its message was published.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a message that went back to the broker before: its transaction is long over, and what waits in vain takes the place of
/// messages that do not.
const AGAIN: Duration = Duration::from_secs(1);
/// The first and the longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// How often publishing and forgetting are tried.
const ATTEMPTS: u32 = 3;

/// Why a message is not relayed.
enum Unsure {
    /// The store has no marker.
    Missing,
    /// The store does not say.
    Silent(String),
}

/// See the module's text.
pub(super) struct Relay {
    store: String,
    config: Config,
    pub topic: String,
}

struct Running {
    config: Config,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The relays that run, by state store.
#[derive(Default)]
pub struct Relays {
    running: Mutex<BTreeMap<String, Running>>,
}

impl Relays {
    pub(super) async fn close(&self) {
        let running = self.running.lock().map(|mut r| std::mem::take(&mut *r)).unwrap_or_default();
        running.values().for_each(|r| r.stop.cancel());
        let _ = tokio::time::timeout(DRAIN, join_all(running.into_values().map(|r| r.task))).await;
    }
}

/// Starts a relay for each outbox whose broker is there; ends those that are not wanted any more.
pub(super) fn reconcile(runtime: &Arc<Runtime>) {
    let stores = runtime.slots.of_kind(Kind::State);
    let wanted: BTreeMap<String, Config> =
        stores.iter().filter_map(|slot| Some((slot.name.clone(), slot.peek()?.prepared.outbox.clone()?))).collect();
    let Ok(mut running) = runtime.deliveries.relays.running.lock() else { return };
    if runtime.deliveries.closed() {
        return;
    }
    running.retain(|store, r| {
        let keep = wanted.get(store) == Some(&r.config) && runtime.slots.find(Kind::Pubsub, &r.config.pubsub).is_some();
        if !keep {
            r.stop.cancel();
        }
        keep
    });
    for (store, config) in wanted {
        if running.contains_key(&store) {
            continue;
        }
        let Some(slot) = runtime.slots.find(Kind::Pubsub, &config.pubsub) else {
            tracing::warn!(target: LOG, "could not subscribe to internal outbox topic: outbox pubsub {} not loaded", config.pubsub);
            continue;
        };
        let stop = CancellationToken::new();
        let relay = Relay { store: store.clone(), topic: config.topic(runtime), config: config.clone() };
        let pull = Pull {
            runtime: runtime.clone(),
            slot,
            target: Arc::new(Target::Relay(relay)),
            stop: stop.clone(),
            released: CancellationToken::new(),
            first: None,
            predecessor: None,
        };
        running.insert(store, Running { config, stop, task: tokio::spawn(pull.run()) });
    }
}

impl Relay {
    pub async fn handle(&self, runtime: &Runtime, message: Message) -> Verdict {
        let event: Result<Map<String, Value>, _> = serde_json::from_slice(&message.data);
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(target: LOG, "a message of the internal outbox topic {} is no cloud event: {error}", self.topic);
                return Verdict::Retry;
            }
        };
        let marker = event.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        // Whoever gives up has waited the whole time once.
        let patience = if message.redeliveries > 0 && !self.config.discard { AGAIN } else { PATIENCE };
        if let Err(unsure) = self.committed(runtime, &marker, patience).await {
            let pubsub = &self.config.publish_pubsub;
            let discard = self.config.discard && matches!(unsure, Unsure::Missing);
            let why = self.why(unsure);
            if discard {
                tracing::error!(target: LOG, "failed to publish outbox topic to pubsub {pubsub}: {why}, discarding message");
                return Verdict::Ack;
            }
            tracing::error!(target: LOG, "failed to publish outbox topic to pubsub {pubsub}: {why}, rejecting for later processing");
            return Verdict::Retry;
        }
        let outcome = async {
            self.publish(runtime, event).await?;
            self.forget(runtime, &marker).await
        };
        match outcome.await {
            Ok(()) => Verdict::Ack,
            Err(why) => {
                tracing::error!(target: LOG, "failed to publish outbox topic to pubsub {}: {why}, rejecting for later processing", self.config.publish_pubsub);
                Verdict::Retry
            }
        }
    }

    /// Waits for the marker of the transaction.
    async fn committed(&self, runtime: &Runtime, marker: &str, patience: Duration) -> Result<(), Unsure> {
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            let unsure = match self.look(runtime, marker).await {
                Ok(true) => return Ok(()),
                Ok(false) => Unsure::Missing,
                Err(why) => Unsure::Silent(why),
            };
            if begun.elapsed() + pause > patience {
                return Err(unsure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn why(&self, unsure: Unsure) -> String {
        match unsure {
            Unsure::Missing => format!(
                "cannot publish outbox message to topic {} with pubsub {}: outbox state not found",
                self.config.publish_topic, self.config.publish_pubsub
            ),
            Unsure::Silent(why) => why,
        }
    }

    async fn look(&self, runtime: &Runtime, marker: &str) -> Result<bool, String> {
        let lease = self.lease(runtime).await?;
        let request = GetRequest { key: marker.to_owned(), consistency: Consistency::Strong, metadata: Vec::new() };
        let found = lease.generation.state().get(request).await.map_err(|e| e.to_string())?;
        Ok(found.map_err(|e| failure(e).1)?.is_some_and(|item| !item.value.is_empty()))
    }

    async fn lease(&self, runtime: &Runtime) -> Result<crate::slots::Lease, String> {
        let missing = || format!("cannot get outbox state: state store {} not found", self.store);
        runtime.slots.find(Kind::State, &self.store).ok_or_else(missing)?.lease().await.ok_or_else(missing)
    }

    async fn publish(&self, runtime: &Runtime, mut event: Map<String, Value>) -> Result<(), String> {
        event.insert("topic".into(), self.config.publish_topic.as_str().into());
        event.insert("pubsubname".into(), self.config.publish_pubsub.as_str().into());
        let content_type = event.get("datacontenttype").and_then(Value::as_str).unwrap_or("text/plain").to_owned();
        let data = crate::cloud_event::to_bytes(&event)?;
        let config = &self.config;
        attempts(|| outbox::publish(runtime, &config.publish_pubsub, &config.publish_topic, &data, Some(&content_type))).await
    }

    async fn forget(&self, runtime: &Runtime, marker: &str) -> Result<(), String> {
        let once = || async {
            let lease = self.lease(runtime).await?;
            let request = DeleteRequest {
                key: marker.to_owned(),
                etag: None,
                concurrency: Concurrency::Unspecified,
                consistency: Consistency::Unspecified,
                metadata: Vec::new(),
            };
            lease.generation.state().delete(request).await.map_err(|e| e.to_string())?.map_err(|e| failure(e).1)
        };
        attempts(once).await
    }
}

/// A few attempts with growing pauses.
async fn attempts<F, Fut>(once: F) -> Result<(), String>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let mut pause = Duration::from_millis(200);
    for _ in 1..ATTEMPTS {
        if once().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    once().await
}
