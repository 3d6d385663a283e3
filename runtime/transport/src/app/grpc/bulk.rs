//! Several events in one call. An application that only knows the older name of the method is called by that.

use super::{GrpcApp, LOG, event, rejected};
use crate::grpc::error::printed;
use pb::topic_event_bulk_request_entry::Event;
use pb::topic_event_response::TopicEventResponseStatus;
use proa_core::app::{BulkDelivery, BulkEntry, BulkEvent, BulkReply, ChannelError, DeliveryStatus};
use proa_protocol::runtime::v1 as pb;
use tonic::{Code, Request, Status};

const ON_EVENTS: &str = "/dapr.proto.runtime.v1.AppCallback/OnBulkTopicEvent";
const ON_EVENTS_ALPHA: &str = "/dapr.proto.runtime.v1.AppCallbackAlpha/OnBulkTopicEventAlpha1";
const TYPE: &str = "com.dapr.event.sent.bulk";

impl GrpcApp {
    pub(super) async fn deliver_events(&self, delivery: BulkDelivery) -> Result<BulkReply, ChannelError> {
        let message = request(&delivery);
        let _permit = self.permit().await?;
        let mut outcome = self.tell(ON_EVENTS, &message).await;
        if let Err(status) = &outcome
            && status.code() == Code::Unimplemented
        {
            tracing::warn!(target: LOG, "falling back to OnBulkTopicEventAlpha1 due to unimplemented error: {}", printed(status));
            outcome = self.tell(ON_EVENTS_ALPHA, &message).await;
        }
        match outcome {
            Ok(answer) => Ok(BulkReply::Statuses(answer.statuses.into_iter().map(status).collect())),
            Err(status) if status.code() == Code::Unimplemented => {
                tracing::warn!(target: LOG, "non-retriable error returned from app while processing bulk pub/sub event: {}", printed(&status));
                Ok(BulkReply::Unwanted)
            }
            Err(status) => Err(rejected("error returned from app while processing bulk pub/sub event", &status)),
        }
    }

    async fn tell(&self, method: &'static str, message: &pb::TopicEventBulkRequest) -> Result<pb::TopicEventBulkResponse, Status> {
        let mut request = Request::new(message.clone());
        if let Ok(name) = message.pubsub_name.parse() {
            request.metadata_mut().insert("pubsubname", name);
        }
        self.unary(method, request).await
    }
}

/// An entry whose data cannot be sent is left out: without an answer it comes again.
fn request(delivery: &BulkDelivery) -> pb::TopicEventBulkRequest {
    let source = &delivery.subscription;
    let told = |why: &String| tracing::warn!(target: LOG, "an event of a batch cannot be sent: {why}");
    pb::TopicEventBulkRequest {
        id: delivery.id.clone(),
        entries: delivery.entries.iter().filter_map(|e| entry(e).inspect_err(told).ok()).collect(),
        metadata: [("pubsubName".to_owned(), source.pubsub.clone())].into(),
        topic: source.topic.clone(),
        pubsub_name: source.pubsub.clone(),
        r#type: TYPE.to_owned(),
        path: delivery.path.clone(),
    }
}

fn entry(entry: &BulkEntry) -> Result<pb::TopicEventBulkRequestEntry, String> {
    let content = match &entry.event {
        BulkEvent::Raw(bytes) => Event::Bytes(bytes.clone()),
        BulkEvent::CloudEvent(event) => Event::CloudEvent(event::of_batch(event)?),
    };
    Ok(pb::TopicEventBulkRequestEntry {
        entry_id: entry.id.clone(),
        content_type: entry.content_type.clone().unwrap_or_default(),
        metadata: entry.metadata.iter().cloned().collect(),
        event: Some(content),
    })
}

fn status(answer: pb::TopicEventBulkResponseEntry) -> (String, DeliveryStatus) {
    let status = match TopicEventResponseStatus::try_from(answer.status) {
        Ok(TopicEventResponseStatus::Success) => DeliveryStatus::Success,
        Ok(TopicEventResponseStatus::Drop) => DeliveryStatus::Drop,
        Ok(TopicEventResponseStatus::Retry) => DeliveryStatus::Retry,
        Err(_) => {
            tracing::warn!(target: LOG, "unknown status returned from app while processing pub/sub event for entry id {}: {}", answer.entry_id, answer.status);
            DeliveryStatus::Retry
        }
    };
    (answer.entry_id, status)
}
