//! Message brokers: publishing, and one stream a subscription.

mod subscription;

use crate::link::{Greet, Link, Welcome};
use crate::wire::Wire;
use futures::future::BoxFuture;
use pb::pub_sub_client::PubSubClient;
use proa_host::CallError;
use proa_host::kinds::pubsub as host;
use proa_host::remote::Answer;
use proa_protocol::components::v1 as pb;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use subscription::Subscription;
use tonic::Code;

pub const SERVICE: &str = "dapr.proto.components.v1.PubSub";
/// A broker that hangs must not keep a sidecar from ending.
const PAUSE: Duration = Duration::from_secs(5);

/// A broker of another process.
pub struct PubSub {
    pub link: Arc<Link>,
    subscriptions: Mutex<HashMap<u64, Arc<Subscription>>>,
    next: AtomicU64,
}

fn client(wire: Wire) -> PubSubClient<Wire> {
    PubSubClient::new(wire).max_decoding_message_size(usize::MAX)
}

pub fn greet(properties: HashMap<String, String>) -> Greet {
    Arc::new(move |wire| {
        let properties = properties.clone();
        Box::pin(async move {
            let mut client = client(wire);
            client.init(pb::PubSubInitRequest { metadata: Some(pb::MetadataRequest { properties }) }).await?;
            let features = client.features(pb::FeaturesRequest {}).await?.into_inner().features;
            Ok(Welcome { features, operations: Vec::new() })
        })
    })
}

impl PubSub {
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, subscriptions: Mutex::default(), next: AtomicU64::new(1) }
    }

    pub fn interfaces(&self, features: &[String]) -> Vec<&'static str> {
        let mut names = vec!["component/health", "pubsub/publisher", "pubsub/subscriber"];
        if features.iter().any(|f| f == "BULK_PUBSUB") {
            names.push("pubsub/bulk-publisher");
        }
        names
    }

    fn named(&self, id: u64) -> Option<Arc<Subscription>> {
        self.subscriptions.lock().ok()?.get(&id).cloned()
    }

    pub fn idle(&self) -> bool {
        self.subscriptions.lock().is_ok_and(|all| all.values().all(|s| s.idle()))
    }

    pub fn ping(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let pong = self.link.call(pb::PingRequest {}, |wire, request| async move { client(wire).ping(request).await });
            pong.await.map(drop).map_err(|f| CallError::from(f).to_string())
        })
    }

    /// A broker that cannot pause goes on; then its messages are simply not taken any more.
    pub fn pause(&self) -> Answer<'_, ()> {
        use crate::status::Failure;
        Box::pin(async move {
            let asked = self.link.call(pb::PauseRequest {}, |wire, request| async move { client(wire).pause(request).await });
            match tokio::time::timeout(PAUSE, asked).await {
                Err(_) => Err(CallError::Deadline(PAUSE)),
                Ok(Err(Failure::Answered(status))) if status.code() == Code::Unimplemented => Ok(()),
                Ok(outcome) => Ok(outcome.map(drop)?),
            }
        })
    }
}

impl host::RemotePublisher for PubSub {
    fn publish(&self, request: host::PublishRequest) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            let request = pb::PublishRequest {
                data: request.data.into(),
                pubsub_name: self.link.name().to_owned(),
                topic: request.topic,
                metadata: request.metadata.into_iter().collect(),
                content_type: request.content_type.unwrap_or_default(),
            };
            self.link.call(request, |wire, request| async move { client(wire).publish(request).await }).await?;
            Ok(Ok(()))
        })
    }
}

impl host::RemoteBulkPublisher for PubSub {
    fn publish_bulk(
        &self,
        topic: String,
        entries: Vec<host::Entry>,
        metadata: host::Metadata,
    ) -> Answer<'_, Result<Vec<(String, host::Error)>, host::Error>> {
        Box::pin(async move {
            let entry = |e: host::Entry| pb::BulkMessageEntry {
                entry_id: e.id,
                event: e.data.into(),
                content_type: e.content_type.unwrap_or_default(),
                metadata: e.metadata.into_iter().collect(),
            };
            let request = pb::BulkPublishRequest {
                entries: entries.into_iter().map(entry).collect(),
                pubsub_name: self.link.name().to_owned(),
                topic,
                metadata: metadata.into_iter().collect(),
            };
            let response = self.link.call(request, |wire, request| async move { client(wire).bulk_publish(request).await }).await?;
            Ok(Ok(response.failed_entries.into_iter().map(|f| (f.entry_id, host::Error::Other(f.error))).collect()))
        })
    }
}

impl host::RemoteSubscriber for PubSub {
    fn subscribe(&self, request: host::SubscribeRequest) -> Answer<'_, Result<u64, host::Error>> {
        Box::pin(async move {
            let session = self.link.session().await?;
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let subscription = Subscription::begin(client(session.wire), request);
            if let Ok(mut all) = self.subscriptions.lock() {
                all.retain(|_, s| !s.is_over());
                all.insert(id, subscription);
            }
            Ok(Ok(id))
        })
    }

    fn receive(&self, subscription: u64, max: u32, wait_ms: u32) -> Answer<'_, Result<Vec<host::Message>, host::Error>> {
        Box::pin(async move {
            match self.named(subscription) {
                Some(subscription) => Ok(subscription.receive(max as usize, Duration::from_millis(wait_ms.into())).await),
                None => Ok(Err(host::Error::NotFound(format!("no subscription {subscription}")))),
            }
        })
    }

    fn settle(&self, subscription: u64, verdicts: Vec<(String, host::Verdict)>) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            match self.named(subscription) {
                Some(subscription) => Ok(subscription.settle(verdicts).await),
                None => Ok(Err(host::Error::NotFound(format!("no subscription {subscription}")))),
            }
        })
    }

    fn unsubscribe(&self, subscription: u64) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            if let Some(subscription) = self.named(subscription) {
                subscription.end().await;
            }
            Ok(Ok(()))
        })
    }
}
