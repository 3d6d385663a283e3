//! Pipelines of generations before a service of the test's own, and bodies to send through them.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use proa_host::middleware::{Body, Lease, Pipeline, Stage, body};
use proa_host::{BoxError, Generation, Service};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes; a test that meets it fails.
pub const LIMIT: Duration = Duration::from_secs(30);

type Answer = BoxFuture<'static, Result<Response<Body>, BoxError>>;

/// A service that is a function.
struct Of<F>(F);

impl<F: Fn(Request<Body>) -> Answer + Send + Sync> Service for Of<F> {
    fn call(&self, request: Request<Body>) -> Answer {
        (self.0)(request)
    }
}

/// The stages, then `end`.
pub fn pipeline<F, Fut>(stages: &[&Arc<Generation>], end: F) -> Pipeline
where
    F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
{
    let stage = |generation: &&Arc<Generation>| -> Stage {
        let generation = (*generation).clone();
        Arc::new(move || {
            let generation = generation.clone();
            Box::pin(async move { Ok(Lease { generation, guard: Box::new(()) }) })
        })
    };
    Pipeline::new(stages.iter().map(stage).collect(), Arc::new(Of(move |request| -> Answer { Box::pin(end(request)) })))
}

/// Sends back what it gets.
pub async fn echo(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    Ok(Response::new(request.into_body()))
}

/// A request whose header `x-hostile` is `wish`.
pub fn wish(wish: &str, body: Body) -> Request<Body> {
    Request::builder().uri("/path").header("x-hostile", wish).body(body).expect("request")
}

pub fn text(text: &'static str) -> Body {
    body::full(Bytes::from_static(text.as_bytes()))
}

/// The whole body, or the error that it ended with; never waits for ever.
pub async fn read(body: Body) -> Result<Bytes, BoxError> {
    tokio::time::timeout(LIMIT, body.collect()).await.expect("the body's end").map(|whole| whole.to_bytes())
}

/// The next piece of data of a body.
pub async fn piece(body: &mut Body) -> Option<Result<Bytes, BoxError>> {
    let frame = tokio::time::timeout(LIMIT, body.frame()).await.expect("a frame")?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// A body and the one who writes it.
pub fn written() -> (Sender<Bytes, BoxError>, Body) {
    let (sender, channel) = Channel::<Bytes, BoxError>::new(1);
    (sender, channel.boxed_unsync())
}
