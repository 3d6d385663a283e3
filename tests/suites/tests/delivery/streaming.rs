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
    no_subscription(&sidecar).await;
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

/// What was not answered on a stream that went away comes on the next one.
#[tokio::test]
async fn an_unanswered_event_comes_on_the_next_stream() {
    if against_dapr() {
        return;
    }
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    sidecar.api(Wire::Http).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let event = stream.next().await;
    drop(stream);
    no_subscription(&sidecar).await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    assert_eq!(stream.next().await.id, event.id);
}

async fn no_subscription(sidecar: &Sidecar) {
    sidecar
        .wait_for_metadata("no subscription", |metadata| {
            metadata.get("subscriptions").and_then(|list| list.as_array()).is_none_or(Vec::is_empty).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_second_beginning_ends_the_stream() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    stream.ask.send(initial("broker", "orders", None)).await.expect("an open stream");
    let status = stream.tell.message().await.expect_err("the end");
    assert_eq!(status.message(), "duplicate initial request received");
    no_subscription(&sidecar).await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told() {
    let sidecar = Sidecar::builder().start().await;
    let status = open(&sidecar, initial("missing", "orders", None)).await.err().expect("a refusal");
    assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, "pubsub missing is not found"));
}

#[tokio::test]
async fn a_topic_out_of_scope_is_refused() {
    let scoped = component("broker", "pubsub.in-memory", &[("subscriptionScopes", "app=open")]);
    let sidecar = Sidecar::builder().resource(scoped).start().await;
    let status = open(&sidecar, initial("broker", "closed", None)).await.err().expect("a refusal");
    assert_eq!(status.message(), "failed to create subscription for broker: subscription to topic 'closed' on pubsub 'broker' is not allowed");
    open(&sidecar, initial("broker", "open", None)).await.expect("a stream");
}

/// Streams, resources and swaps beside one another: the stream stays open, and everybody gets every event of theirs.
#[tokio::test]
async fn a_swap_and_other_subscriptions_leave_the_stream_open() {
    if against_dapr() {
        return;
    }
    let app = proa_harness::App::start().await;
    app.answer("/declared", proa_harness::Answer::ok());
    let sidecar = Sidecar::builder().resource_file("broker.yaml", in_memory()).app(&app).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    let api = sidecar.api(Wire::Grpc).await;
    sidecar.write_resource("declared.yaml", &proa_harness::subscription("declared", "broker", "orders", "/declared"));
    sidecar.wait_for_subscriptions(2).await;
    api.publish("broker", "orders", "1", "text/plain", &[]).await.expect("publish");
    let event = stream.next().await;
    stream.settle(&event.id, 0).await;
    app.wait_for("/declared", 1).await;

    sidecar.write_resource(
        "broker.yaml",
        &in_memory().replace("metadata:\n  name: broker", "metadata:\n  name: broker\n  annotations: {test: swapped}"),
    );
    sidecar.logs_contain("Component updated: broker").await;
    api.publish("broker", "orders", "2", "text/plain", &[]).await.expect("publish");
    let event = stream.next().await;
    assert_eq!(&event.data[..], b"2");
    stream.settle(&event.id, 0).await;
    assert_eq!(app.wait_for("/declared", 2).await.len(), 2);

    sidecar.remove_resource("declared.yaml");
    sidecar
        .wait_for_metadata("the stream alone", |metadata| {
            (metadata["subscriptions"].as_array()?.len() == 1).then(|| metadata["subscriptions"][0]["type"] == "STREAMING")
        })
        .await;
    sidecar.remove_resource("broker.yaml");
    let status = stream.tell.message().await.expect_err("the end");
    assert_eq!(status.message(), "stream closed");
}

/// At the end of the sidecar what is out may still be answered; then the stream ends.
#[tokio::test]
async fn a_shutdown_waits_for_the_verdict() {
    let sidecar = Sidecar::builder().resource(in_memory()).start().await;
    let mut stream = open(&sidecar, initial("broker", "orders", None)).await.expect("a stream");
    sidecar.api(Wire::Http).await.publish("broker", "orders", "x", "text/plain", &[]).await.expect("publish");
    let event = stream.next().await;
    sidecar.signal(libc::SIGTERM);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    stream.settle(&event.id, 0).await;
    let status = stream.tell.message().await.expect_err("the end");
    assert_eq!(status.message(), "stream closed");
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.logs.text());
}
