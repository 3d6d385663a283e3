//! Subscriptions that the app opens itself, as a stream of the gRPC API; no app port is needed.

use std::time::Duration;

use pb::subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as Ask;
use pb::subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as Tell;
use proa_harness::protocol::runtime::v1 as pb;
use proa_harness::{Redis, Sidecar, Wire, against_dapr, component};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// An open stream: events come by `next`, verdicts go by `settle`.
struct Stream {
    ask: mpsc::Sender<pb::SubscribeTopicEventsRequestAlpha1>,
    tell: Streaming<pb::SubscribeTopicEventsResponseAlpha1>,
}

fn message(kind: Ask) -> pb::SubscribeTopicEventsRequestAlpha1 {
    pb::SubscribeTopicEventsRequestAlpha1 { subscribe_topic_events_request_type: Some(kind) }
}

fn initial(pubsub: &str, topic: &str, dead: Option<&str>) -> pb::SubscribeTopicEventsRequestAlpha1 {
    message(Ask::InitialRequest(pb::SubscribeTopicEventsRequestInitialAlpha1 {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        metadata: Default::default(),
        dead_letter_topic: dead.map(str::to_owned),
    }))
}

async fn open(sidecar: &Sidecar, first: pb::SubscribeTopicEventsRequestAlpha1) -> Result<Stream, Status> {
    let (ask, rest) = mpsc::channel(16);
    ask.send(first).await.expect("room for the first message");
    let requests = futures::stream::unfold(rest, |mut rest| async { rest.recv().await.map(|next| (next, rest)) });
    let mut tell = sidecar.grpc().await.subscribe_topic_events_alpha1(requests).await?.into_inner();
    let reply = tell.message().await?.and_then(|reply| reply.subscribe_topic_events_response_type);
    assert!(matches!(reply, Some(Tell::InitialResponse(_))), "{reply:?}");
    Ok(Stream { ask, tell })
}

impl Stream {
    async fn next(&mut self) -> pb::TopicEventRequest {
        let reply = tokio::time::timeout(Duration::from_secs(15), self.tell.message()).await.expect("an event in time");
        match reply.expect("an open stream").and_then(|reply| reply.subscribe_topic_events_response_type) {
            Some(Tell::EventMessage(event)) => event,
            other => panic!("no event: {other:?}"),
        }
    }

    async fn settle(&self, id: &str, status: i32) {
        let status = Some(pb::TopicEventResponse { status });
        let processed = pb::SubscribeTopicEventsRequestProcessedAlpha1 { id: id.into(), status };
        self.ask.send(message(Ask::EventProcessed(processed))).await.expect("an open stream");
    }
}

fn in_memory() -> String {
    component("broker", "pubsub.in-memory", &[])
}

#[tokio::test]
async fn events_come_down_the_stream() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    for wire in Wire::BOTH {
        sidecar.api(wire).await.publish("broker", "orders", "{\"n\":1}", "application/json", &[]).await.expect("publish");
        let event = stream.next().await;
        assert_eq!((event.topic.as_str(), event.pubsub_name.as_str(), &event.data[..]), ("orders", "broker", &b"{\"n\":1}"[..]));
        stream.settle(&event.id, 0).await;
    }
    let metadata = sidecar.api(Wire::Http).await.metadata().await.expect("metadata");
    assert_eq!(metadata["subscriptions"][0]["type"], "STREAMING");
}

#[tokio::test]
async fn a_closed_stream_is_no_subscription_any_more() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    sidecar.wait_for_subscriptions(1).await;
    drop(stream);
    sidecar
        .wait_for_metadata("no subscription", |metadata| {
            metadata.get("subscriptions").and_then(|list| list.as_array()).is_none_or(Vec::is_empty).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_dropped_event_goes_to_the_dead_letter_topic() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", Some("dead"))).await.expect("a stream");
    let mut dead = open(&sidecar, initial("broker", "dead", None)).await.expect("a stream");
    sidecar.api(Wire::Http).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let event = stream.next().await;
    stream.settle(&event.id, 2).await;
    assert_eq!(dead.next().await.id, event.id);
}

/// Dapr acknowledges what the app refused; see the suite on Redis.
#[tokio::test]
async fn a_refused_event_comes_again_from_redis() {
    if against_dapr() {
        return;
    }
    let redis = Redis::start().await;
    let broker = component("broker", "pubsub.redis", &[("redisHost", &redis.host()), ("redeliverInterval", "200"), ("processingTimeout", "500")]);
    let sidecar = Sidecar::builder().resource(broker).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    sidecar.api(Wire::Grpc).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let first = stream.next().await;
    stream.settle(&first.id, 1).await;
    let second = stream.next().await;
    assert_eq!((&second.id, &second.data), (&first.id, &first.data));
    stream.settle(&second.id, 0).await;
}

#[tokio::test]
async fn a_wrong_beginning_is_refused() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    for (first, text) in [
        (message(Ask::EventProcessed(Default::default())), "initial request is required"),
        (initial("", "orders", None), "pubsubName is required"),
        (initial("broker", "", None), "topic is required"),
    ] {
        let status = open(&sidecar, first).await.err().expect("a refusal");
        assert!(status.message().contains(text), "{status:?}");
    }
}
