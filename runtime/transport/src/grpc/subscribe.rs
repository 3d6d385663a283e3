//! Subscriptions as a stream: the application opens it with what it wants, events go down, verdicts come up.
//!
//! A stream costs one subscription at the broker. It ends with the application's side of it, with the sidecar, with the broker's
//! removal, or with a message that has no place in it. What was not answered by then stays with the broker.

use super::api::Api;
use super::pairs;
use crate::app::grpc::{answers, event};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use pb::subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as Asked;
use pb::subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as Told;
use proa_core::app::{ChannelError, DeliveryStatus, EventStream, TopicDelivery};
use proa_core::delivery::stream::{self as subscription, OpenStream, Refused};
use proa_protocol::runtime::v1 as pb;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Request, Response, Status, Streaming};

const LOG: &str = "dapr.runtime.pubsub.streamer";
/// Events on their way out; more of them wait in the subscription's window.
const OUTGOING: usize = 16;

type Outgoing = pb::SubscribeTopicEventsResponseAlpha1;
type Incoming = Streaming<pb::SubscribeTopicEventsRequestAlpha1>;

pub(super) async fn topic_events(api: &Api, request: Request<Incoming>) -> Result<Response<BoxStream<'static, Result<Outgoing, Status>>>, Status> {
    let mut incoming = request.into_inner();
    let first = tokio::select! {
        first = incoming.message() => first?,
        () = api.stop.cancelled() => return Err(Status::unknown("api server closed")),
    };
    let request = initial(first)?;
    let (sender, outgoing) = mpsc::channel(OUTGOING);
    // Before any event; there is room.
    let _ = sender.try_send(told(Told::InitialResponse(pb::SubscribeTopicEventsResponseInitialAlpha1 {})));
    let connection = Arc::new(Connection { outgoing: sender, waiting: Mutex::new(Some(HashMap::new())) });
    let opened = subscription::open(&api.runtime, request, connection.clone()).await;
    let subscription = opened.map_err(|refused| match refused {
        Refused::Api(error) => api.fail(&error),
        Refused::Plain(why) => Status::unknown(why),
    })?;
    let open = Open { incoming, outgoing, connection, subscription };
    Ok(Response::new(Box::pin(stream::unfold(Some(open), step))))
}

fn initial(first: Option<pb::SubscribeTopicEventsRequestAlpha1>) -> Result<subscription::Request, Status> {
    let first = first.ok_or_else(|| Status::unknown("EOF"))?;
    let Some(Asked::InitialRequest(initial)) = first.subscribe_topic_events_request_type else {
        return Err(Status::unknown("initial request is required"));
    };
    if initial.pubsub_name.is_empty() {
        return Err(Status::unknown("pubsubName is required"));
    }
    if initial.topic.is_empty() {
        return Err(Status::unknown("topic is required"));
    }
    Ok(subscription::Request {
        pubsub: initial.pubsub_name,
        topic: initial.topic,
        dead_letter_topic: initial.dead_letter_topic.unwrap_or_default(),
        metadata: pairs(initial.metadata),
    })
}

fn told(what: Told) -> Outgoing {
    Outgoing { subscribe_topic_events_response_type: Some(what) }
}

/// A stream between its first message and its end.
struct Open {
    incoming: Incoming,
    outgoing: mpsc::Receiver<Outgoing>,
    connection: Arc<Connection>,
    subscription: OpenStream,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// What goes down next. With the end everything is let go of.
async fn step(open: Option<Open>) -> Option<(Result<Outgoing, Status>, Option<Open>)> {
    let mut open = open?;
    loop {
        tokio::select! {
            Some(message) = open.outgoing.recv() => return Some((Ok(message), Some(open))),
            asked = open.incoming.message() => {
                if let Err(end) = open.asked(asked) {
                    return Some((Err(end), None));
                }
            }
            () = open.subscription.ended() => return Some((Err(Status::unknown("stream closed")), None)),
        }
    }
}

impl Open {
    fn asked(&self, asked: Result<Option<pb::SubscribeTopicEventsRequestAlpha1>, Status>) -> Result<(), Status> {
        let asked = match asked {
            Ok(Some(asked)) => asked,
            Ok(None) => return Err(Status::unknown("EOF")),
            Err(status) => {
                if status.code() != Code::Cancelled {
                    tracing::error!(target: LOG, "Error receiving message from client stream: {}", super::error::printed(&status));
                }
                return Err(status);
            }
        };
        let Some(Asked::EventProcessed(processed)) = asked.subscribe_topic_events_request_type else {
            return Err(Status::unknown("duplicate initial request received"));
        };
        let status = processed.status.map_or(0, |s| s.status);
        if !self.connection.settle(&processed.id, status) {
            let number = self.subscription.connection();
            tracing::error!(target: LOG, "no client stream expecting publish response for id {} ConnectionID{number}", processed.id);
        }
        Ok(())
    }
}

/// Who waits for the verdict on an event, by its id; several where events share one.
type Waiting = HashMap<String, VecDeque<oneshot::Sender<i32>>>;

/// The side of a stream that the subscription sees.
struct Connection {
    outgoing: mpsc::Sender<Outgoing>,
    /// None: closed.
    waiting: Mutex<Option<Waiting>>,
}

impl Connection {
    /// None: the stream has ended.
    fn expect(&self, id: &str) -> Option<oneshot::Receiver<i32>> {
        let mut waiting = self.waiting.lock().ok()?;
        let waiters = waiting.as_mut()?.entry(id.to_owned()).or_default();
        // Those that gave up waiting.
        waiters.retain(|w| !w.is_closed());
        let (sender, receiver) = oneshot::channel();
        waiters.push_back(sender);
        Some(receiver)
    }

    /// Whether somebody waited for it.
    fn settle(&self, id: &str, status: i32) -> bool {
        let Ok(mut waiting) = self.waiting.lock() else { return false };
        let Some(all) = waiting.as_mut() else { return false };
        let Some(waiters) = all.get_mut(id) else { return false };
        let mut told = false;
        while let Some(waiter) = waiters.pop_front() {
            if waiter.send(status).is_ok() {
                told = true;
                break;
            }
        }
        if waiters.is_empty() {
            all.remove(id);
        }
        told
    }

    fn close(&self) {
        if let Ok(mut waiting) = self.waiting.lock() {
            *waiting = None;
        }
    }

    async fn hand_over(&self, delivery: TopicDelivery) -> Result<DeliveryStatus, ChannelError> {
        let message = event::request(&delivery).map_err(|why| ChannelError { status: None, message: why })?;
        let id = message.id.clone();
        let Some(answer) = self.expect(&id) else { return Ok(DeliveryStatus::Unanswered) };
        if self.outgoing.send(told(Told::EventMessage(message))).await.is_err() {
            return Ok(DeliveryStatus::Unanswered);
        }
        match answer.await {
            Ok(status) => answers::verdict(&id, status),
            Err(_) => Ok(DeliveryStatus::Unanswered),
        }
    }
}

impl EventStream for Connection {
    fn deliver(&self, delivery: TopicDelivery) -> BoxFuture<'_, Result<DeliveryStatus, ChannelError>> {
        Box::pin(self.hand_over(delivery))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_find_who_waits_in_order() {
        let (outgoing, _receiver) = mpsc::channel(1);
        let connection = Connection { outgoing, waiting: Mutex::new(Some(HashMap::new())) };
        let (given_up, mut first, mut second) = (connection.expect("a"), connection.expect("a").unwrap(), connection.expect("a").unwrap());
        drop(given_up);
        assert!(!connection.settle("b", 0));
        assert!(connection.settle("a", 1) && connection.settle("a", 2) && !connection.settle("a", 0));
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(1), Ok(2)));
        let mut third = connection.expect("a").unwrap();
        connection.close();
        assert!(third.try_recv().is_err() && connection.expect("a").is_none());
    }
}
