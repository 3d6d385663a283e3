//! HTTP middleware: requests pass through stages, each a guest in a store of its own, bodies by reference unless a stage asks for them.
//!
//! `next` belongs to the request, not to the store: what follows a stage is decided by the pipeline that the request entered, so a
//! stage can be replaced while requests are in it. A stage that traps in the middle of a body makes that body fail, never end.

pub mod body;
mod exchange;
mod head;
pub(crate) mod standard;

pub use body::Body;
pub use exchange::Exchange;
pub use head::Peer;

use crate::CallError;
use crate::generation::Generation;
use crate::wit::proa::middleware::types as wit;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something that answers requests: the router, or the rest of a pipeline.
pub trait Service: Send + Sync {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<'static, Result<http::Response<Body>, BoxError>>;
}

/// Why a stage did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// The stage's own words.
    #[error("middleware: {0}")]
    Guest(String),
    /// What the rest of the pipeline said; the stage passed it on.
    #[error(transparent)]
    Next(BoxError),
}

impl Generation {
    /// Sends a request through this stage; `next` is what follows.
    pub async fn handle(&self, request: http::Request<Body>, next: Arc<dyn Service>) -> Result<http::Response<Body>, StageError> {
        if self.has(crate::exports::Indices::phases) {
            return self.handle_phases(request, next).await;
        }
        if self.is_standard() {
            return self.handle_standard(request, next).await;
        }
        let (exchange, head, guard) = Exchange::new(request, next);
        let shared = exchange.shared();
        self.ready().await;
        let call = self.call_within(None, move |accessor, exports| {
            Box::pin(async move {
                let handler = exports.handler.as_ref().ok_or_else(|| wasmtime::format_err!("middleware/handler is not exported"))?;
                let shared = exchange.shared();
                let resource = accessor.with(|mut access| access.get().table.push(exchange))?;
                match handler.call_handle(accessor, resource, head).await? {
                    Ok(reply) => accessor.with(|mut access| exchange::response(&mut access, &shared, reply)).map(Ok),
                    Err(error) => Ok(Err(error)),
                }
            })
        });
        let reply = self.watched(call, || shared.lock().is_ok_and(|inner| inner.in_next)).await?;
        let response = reply.map_err(|error| match shared.lock().ok().and_then(|mut inner| inner.failure.take()) {
            Some(cause) => StageError::Next(cause),
            None => StageError::Guest(error_text(&error)),
        })?;
        // The request goes on living in its response body: only a caller that went away cancels it.
        guard.disarm();
        response.map_err(StageError::Guest)
    }

    /// Bounds the time that a stage takes for itself; what the rest of the pipeline takes is not the stage's.
    async fn watched<R>(&self, call: impl Future<Output = Result<R, CallError>>, in_next: impl Fn() -> bool) -> Result<R, CallError> {
        const LOOK: Duration = Duration::from_millis(500);
        let mut call = std::pin::pin!(call);
        let mut own = Duration::ZERO;
        loop {
            if let Ok(answer) = tokio::time::timeout(LOOK, &mut call).await {
                return answer;
            }
            if !in_next() {
                own += LOOK;
            }
            if own >= self.call_timeout() {
                self.retire("a stage did not return within its deadline");
                return Err(CallError::Deadline(self.call_timeout()));
            }
        }
    }

    async fn handle_phases(&self, request: http::Request<Body>, next: Arc<dyn Service>) -> Result<http::Response<Body>, StageError> {
        use crate::wit::exports::proa::middleware::phases::Action;
        let (parts, body) = request.into_parts();
        let head = head::request_head(&parts);
        let action = self
            .call(move |accessor, exports| {
                Box::pin(async move {
                    let phases = exports.phases.as_ref().ok_or_else(|| wasmtime::format_err!("middleware/phases is not exported"))?;
                    phases.call_on_request(accessor, head).await
                })
            })
            .await?;
        let (head, context) = match action {
            Action::Respond(answer) => {
                let parts = head::response_parts(answer.head).map_err(StageError::Guest)?;
                return Ok(http::Response::from_parts(parts, body::full(Bytes::from(answer.body))));
            }
            Action::Proceed(proceed) => proceed,
        };
        let parts = head::apply_request_head(parts, head).map_err(StageError::Guest)?;
        let response = next.call(http::Request::from_parts(parts, body)).await.map_err(StageError::Next)?;
        let (parts, body) = response.into_parts();
        let head = head::response_head(&parts);
        let head = self
            .call(move |accessor, exports| {
                Box::pin(async move {
                    let phases = exports.phases.as_ref().ok_or_else(|| wasmtime::format_err!("middleware/phases is not exported"))?;
                    phases.call_on_response(accessor, head, context).await
                })
            })
            .await?;
        let mut changed = head::response_parts(head).map_err(StageError::Guest)?;
        changed.extensions = parts.extensions;
        Ok(http::Response::from_parts(changed, body))
    }
}

fn error_text(error: &wit::Error) -> String {
    match error {
        wit::Error::Denied(why) => format!("denied: {why}"),
        wit::Error::Timeout => "timed out".into(),
        wit::Error::Broken(why) | wit::Error::Other(why) => why.clone(),
    }
}

/// Several stages before a final service: an immutable snapshot that a request takes once.
#[derive(Clone)]
pub struct Pipeline {
    stages: Arc<[Stage]>,
    position: usize,
    end: Arc<dyn Service>,
}

/// Gives the generation that serves a stage now.
pub type Stage = Arc<dyn Fn() -> BoxFuture<'static, Result<Lease, BoxError>> + Send + Sync>;

/// A generation, and whatever must be kept while it is in use.
pub struct Lease {
    pub generation: Arc<Generation>,
    pub guard: Box<dyn Send + Sync>,
}

impl Pipeline {
    pub fn new(stages: Vec<Stage>, end: Arc<dyn Service>) -> Self {
        Self { stages: stages.into(), position: 0, end }
    }
}

impl Service for Pipeline {
    fn call(&self, request: http::Request<Body>) -> BoxFuture<'static, Result<http::Response<Body>, BoxError>> {
        let Some(stage) = self.stages.get(self.position).cloned() else { return self.end.call(request) };
        let rest = Arc::new(Self { position: self.position + 1, ..self.clone() });
        Box::pin(async move {
            let lease = stage().await?;
            let response = lease.generation.handle(request, rest).await.map_err(|e| match e {
                StageError::Next(cause) => cause,
                other => Box::new(other),
            })?;
            // The generation stays as long as the body that it may still be writing.
            Ok(response.map(|body| body::kept(body, lease)))
        })
    }
}
