//! Subscriptions that an application opens itself: they need no port of the application's, live as long as their stream, and do not
//! heed its health. A swap of the broker leaves the stream open; a removal ends it.

use super::message::{Route, Sink};
use super::pull::{DRAIN, Pull};
use super::target::Target;
use super::{FIRST, Origin, Subscription};
use crate::app::{AppSubscription, EventStream, Rule};
use crate::runtime::Runtime;
use futures::future::join_all;
use proa_host::manifest::Kind;
use proa_model::{Error, Metadata, error};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.runtime.pubsub.streamer";

/// What a stream asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub pubsub: String,
    pub topic: String,
    pub dead_letter_topic: String,
    pub metadata: Metadata,
}

/// Why a stream is refused.
#[derive(Debug)]
pub enum Refused {
    Api(Box<Error>),
    /// Dapr has no code for these.
    Plain(String),
}

struct Running {
    subscription: Subscription,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// The streams that are open, by connection.
#[derive(Default)]
pub struct Streams {
    running: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    last: u64,
    open: BTreeMap<u64, Running>,
}

/// An open stream's subscription; dropping it ends it.
pub struct OpenStream {
    runtime: Arc<Runtime>,
    connection: u64,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl OpenStream {
    /// The number of the connection, for the log.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Resolves when the sidecar ends the subscription, once what was with the application is settled.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.stop.cancel();
        let closed = self.runtime.deliveries.streams.running.lock().ok().and_then(|mut r| r.open.remove(&self.connection));
        if let Some(Running { subscription: Subscription { spec, .. }, .. }) = closed {
            tracing::info!(target: LOG, "Unsubscribed from pubsub '{}' topic '{}'", spec.pubsub_name, spec.topic);
        }
    }
}

impl Streams {
    pub(super) fn subscriptions(&self) -> Vec<Subscription> {
        self.running.lock().map(|r| r.open.values().map(|s| s.subscription.clone()).collect()).unwrap_or_default()
    }

    /// Ends those whose broker is gone.
    pub(super) fn reconcile(&self, runtime: &Runtime) {
        if let Ok(running) = self.running.lock() {
            let gone = |s: &&Running| runtime.slots.find(Kind::Pubsub, &s.subscription.spec.pubsub_name).is_none();
            running.open.values().filter(gone).for_each(|s| s.stop.cancel());
        }
    }

    /// Ends all, and waits for what is with the application.
    pub(super) async fn close(&self) {
        let ending: Vec<CancellationToken> = self.running.lock().map_or_else(
            |_| Vec::new(),
            |running| {
                running.open.values().for_each(|s| s.stop.cancel());
                running.open.values().map(|s| s.ended.clone()).collect()
            },
        );
        let _ = tokio::time::timeout(DRAIN, join_all(ending.iter().map(|e| e.cancelled()))).await;
    }
}

/// Subscribes; events go to `stream` once the broker has taken the subscription.
pub async fn open(runtime: &Arc<Runtime>, request: Request, stream: Arc<dyn EventStream>) -> Result<OpenStream, Refused> {
    let app_id = &runtime.options().app_id;
    let api = |e: Error| Refused::Api(Box::new(e));
    if runtime.deliveries.closed() {
        return Err(api(error::pubsub::metadata("", app_id, "subscriber is closed")));
    }
    let found = runtime.slots.find(Kind::Pubsub, &request.pubsub).and_then(|slot| slot.peek().map(|current| (slot, current)));
    let (slot, current) = found.ok_or_else(|| api(error::pubsub::not_found(&request.pubsub, app_id)))?;
    let refused = |why: String| Refused::Plain(format!("failed to create subscription for {}: {why}", request.pubsub));
    if !current.prepared.topics.may_subscribe(&request.topic) {
        return Err(refused(format!("subscription to topic '{}' on pubsub '{}' is not allowed", request.topic, request.pubsub)));
    }
    drop(current);
    let spec = AppSubscription {
        pubsub_name: request.pubsub.clone(),
        topic: request.topic.clone(),
        dead_letter_topic: request.dead_letter_topic.clone(),
        metadata: request.metadata.clone(),
        rules: vec![Rule { match_expr: String::new(), path: "/".into() }],
        default_path: String::new(),
        bulk: None,
    };
    let route = Route::new(&spec, Sink::Stream(stream)).map_err(refused)?;
    let (stop, first) = (CancellationToken::new(), CancellationToken::new());
    let pull = Pull {
        runtime: runtime.clone(),
        slot,
        target: Arc::new(Target::Events(route)),
        stop: stop.clone(),
        released: CancellationToken::new(),
        first: Some(first.clone().drop_guard()),
        predecessor: None,
    };
    let open = register(runtime, Subscription { spec, origin: Origin::Streaming }, stop);
    tracing::info!(target: LOG, "Subscribing to pubsub '{}' topic '{}' ConnectionID {}", request.pubsub, request.topic, open.connection);
    let ended = open.ended.clone();
    runtime.tasks.spawn(async move {
        pull.run().await;
        ended.cancel();
    });
    // A broker that is slow to subscribe is tried further while the stream is open.
    let _ = tokio::time::timeout(FIRST, first.cancelled()).await;
    Ok(open)
}

fn register(runtime: &Arc<Runtime>, subscription: Subscription, stop: CancellationToken) -> OpenStream {
    let ended = CancellationToken::new();
    let mut connection = 0;
    if let Ok(mut running) = runtime.deliveries.streams.running.lock() {
        running.last += 1;
        connection = running.last;
        running.open.insert(connection, Running { subscription, stop: stop.clone(), ended: ended.clone() });
    }
    if runtime.deliveries.closed() {
        // Closed since it was looked at first.
        stop.cancel();
    }
    OpenStream { runtime: runtime.clone(), connection, stop, ended }
}
