//! A gRPC service that no sidecar knows, `test.Streams`: every method takes a stream of byte strings and gives one, so that it serves calls of
//! all four kinds. And a client of it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::uri::PathAndQuery;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::wait::until;

type Bytes = Vec<u8>;
type Codec = ProstCodec<Bytes, Bytes>;
type Answers = BoxStream<'static, Result<Bytes, Status>>;

/// What `Fail` attaches to its status.
pub const DETAILS: &[u8] = b"\x08\x0a\x12\x08no: 100%";

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<MetadataMap>>,
    cancelled: Mutex<usize>,
}

/// The service.
#[derive(Clone, Default)]
pub struct Streams(Arc<Inner>);

impl NamedService for Streams {
    const NAME: &'static str = "test.Streams";
}

impl Streams {
    /// The metadata of every call, in order.
    pub fn seen(&self) -> Vec<MetadataMap> {
        self.0.seen.lock().expect("seen").clone()
    }

    /// Waits until as many calls of `Wait` were given up by their callers.
    pub async fn cancelled(&self, count: usize) {
        until(&format!("{count} cancelled calls"), Duration::from_secs(20), || async {
            (*self.0.cancelled.lock().expect("cancelled") >= count).then_some(())
        })
        .await;
    }

    async fn answer(self, method: &str, request: Request<Streaming<Bytes>>) -> Result<Response<Answers>, Status> {
        self.0.seen.lock().expect("seen").push(request.metadata().clone());
        let requests = request.into_inner();
        let answers: Answers = match method {
            "Echo" => requests.boxed(),
            "Collect" => stream::once(async move {
                let parts: Vec<_> = requests.filter_map(|part| async { part.ok() }).collect().await;
                Ok(parts.concat())
            })
            .boxed(),
            "Count" => stream::iter((0..100_u32).map(|number| Ok(number.to_string().into_bytes()))).boxed(),
            "Large" => stream::iter([Ok(vec![0; 5 << 20])]).boxed(),
            "Wait" => {
                let guard = Guard(self.0.clone());
                stream::once(async { Ok(b"waiting".to_vec()) })
                    .chain(stream::pending())
                    .inspect(move |_| {
                        let _held = &guard;
                    })
                    .boxed()
            }
            _ => {
                let mut metadata = MetadataMap::new();
                metadata.insert("x-reason", "told".parse().expect("value"));
                return Err(Status::with_details_and_metadata(Code::Aborted, "no: 100%", DETAILS.into(), metadata));
            }
        };
        let mut response = Response::new(answers);
        response.metadata_mut().insert("x-answer", "of the app".parse().expect("value"));
        Ok(response)
    }
}

/// Counts a call that ended before it was answered.
struct Guard(Arc<Inner>);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.cancelled.lock().expect("cancelled") += 1;
    }
}

struct Handler(Streams, String);

impl Service<Request<Streaming<Bytes>>> for Handler {
    type Response = Response<Answers>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Answers>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (streams, method) = (self.0.clone(), self.1.clone());
        Box::pin(async move { streams.answer(&method, request).await })
    }
}

impl Service<http::Request<tonic::body::Body>> for Streams {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let handler = Handler(self.clone(), method);
        Box::pin(async move { Ok(tonic::server::Grpc::new(Codec::default()).streaming(handler, request).await) })
    }
}

/// A call of the service by way of a sidecar, to the application that `metadata` name.
pub async fn call(
    channel: Channel,
    method: &str,
    metadata: &[(&'static str, &str)],
    requests: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Response<Streaming<Bytes>>, Status> {
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(64 << 20);
    client.ready().await.map_err(|failure| Status::unavailable(failure.to_string()))?;
    let mut request = Request::new(requests);
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().expect("metadata value"));
    }
    let path = PathAndQuery::try_from(format!("/test.Streams/{method}")).expect("path");
    client.streaming(request, path, Codec::default()).await
}

/// All answers of a call, or how it failed.
pub async fn collect(response: Result<Response<Streaming<Bytes>>, Status>) -> Result<Vec<Bytes>, Status> {
    let mut answers = response?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}
