//! The two services with streams: a broker whose unacknowledged messages go back to their topic, and an input binding.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use proa_protocol::components::v1 as pb;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::backend::{Backend, Served, instance};

#[tonic::async_trait]
impl pb::pub_sub_server::PubSub for Served {
    async fn init(&self, request: Request<pb::PubSubInitRequest>) -> Result<Response<pb::PubSubInitResponse>, Status> {
        let instance = instance(&request);
        self.note("pubsub", instance, request.into_inner().metadata);
        Ok(Response::new(Default::default()))
    }
    async fn features(&self, _: Request<pb::FeaturesRequest>) -> Result<Response<pb::FeaturesResponse>, Status> {
        Ok(Response::new(pb::FeaturesResponse { features: vec!["BULK_PUBSUB".into()] }))
    }
    async fn publish(&self, request: Request<pb::PublishRequest>) -> Result<Response<pb::PublishResponse>, Status> {
        self.ready("pubsub", &instance(&request))?;
        let message = request.into_inner();
        self.accept(&message.topic, message.data, message.content_type);
        Ok(Response::new(Default::default()))
    }
    async fn bulk_publish(&self, request: Request<pb::BulkPublishRequest>) -> Result<Response<pb::BulkPublishResponse>, Status> {
        self.ready("pubsub", &instance(&request))?;
        let request = request.into_inner();
        for entry in request.entries {
            self.accept(&request.topic, entry.event, entry.content_type);
        }
        Ok(Response::new(Default::default()))
    }
    type PullMessagesStream = BoxStream<'static, Result<pb::PullMessagesResponse, Status>>;
    async fn pull_messages(&self, request: Request<Streaming<pb::PullMessagesRequest>>) -> Result<Response<Self::PullMessagesStream>, Status> {
        self.ready("pubsub", &instance(&request))?;
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|r| r.topic).ok_or_else(|| Status::invalid_argument("no topic"))?;
        Ok(Response::new(delivery(self.0.clone(), first.name, requests).boxed()))
    }
    async fn pause(&self, _: Request<pb::PauseRequest>) -> Result<Response<pb::PauseResponse>, Status> {
        Err(Status::unimplemented("no pause"))
    }
    async fn resume(&self, _: Request<pb::ResumeRequest>) -> Result<Response<pb::ResumeResponse>, Status> {
        Err(Status::unimplemented("no pause"))
    }
    async fn ping(&self, _: Request<pb::PingRequest>) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

/// What a stream has handed out; it goes back when the stream ends.
struct Held {
    backend: Arc<Backend>,
    messages: HashMap<String, pb::PullMessagesResponse>,
}

impl Drop for Held {
    fn drop(&mut self) {
        for (_, message) in self.messages.drain() {
            self.backend.put_back(message);
        }
    }
}

fn delivery(
    backend: Arc<Backend>,
    topic: String,
    mut requests: Streaming<pb::PullMessagesRequest>,
) -> impl futures::Stream<Item = Result<pb::PullMessagesResponse, Status>> + Send {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut held = Held { backend: backend.clone(), messages: HashMap::new() };
        loop {
            let published = backend.published.notified();
            let next = backend.topics.lock().expect("not poisoned").get_mut(&topic).and_then(|t| t.pop_front());
            if let Some(message) = next {
                held.messages.insert(message.id.clone(), message.clone());
                if sender.send(Ok(message)).await.is_err() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = published => {}
                // Acknowledgements that are refused put their message back.
                request = requests.message() => match request {
                    Ok(Some(ack)) => {
                        let message = held.messages.remove(&ack.ack_message_id);
                        if let (Some(message), Some(_)) = (message, ack.ack_error) {
                            backend.put_back(message);
                        }
                    }
                    _ => return,
                },
                () = sender.closed() => return,
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}

#[tonic::async_trait]
impl pb::input_binding_server::InputBinding for Served {
    async fn init(&self, request: Request<pb::InputBindingInitRequest>) -> Result<Response<pb::InputBindingInitResponse>, Status> {
        let instance = instance(&request);
        self.note("input", instance, request.into_inner().metadata);
        Ok(Response::new(Default::default()))
    }
    type ReadStream = BoxStream<'static, Result<pb::ReadResponse, Status>>;
    async fn read(&self, request: Request<Streaming<pb::ReadRequest>>) -> Result<Response<Self::ReadStream>, Status> {
        self.ready("input", &instance(&request))?;
        let backend = self.0.clone();
        let mut requests = request.into_inner();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let happened = backend.happened.notified();
                let next = backend.events.lock().expect("not poisoned").pop_front();
                if let Some(event) = next {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                    continue;
                }
                tokio::select! {
                    () = happened => {}
                    answer = requests.message() => match answer {
                        Ok(Some(answer)) => backend.answers.lock().expect("not poisoned").push(answer),
                        _ => return,
                    },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(futures::stream::unfold(receiver, |mut r: mpsc::Receiver<_>| async move { r.recv().await.map(|item| (item, r)) }).boxed()))
    }
    async fn ping(&self, _: Request<pb::PingRequest>) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}
