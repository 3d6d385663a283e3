//! A proxied call of a peer under the policies for the application: what an attempt is, and what came of it.
//!
//! An attempt of a unary call lasts until the first message of the answer or its status; the timeout goes on to its end, but from the
//! first message on nothing is tried again. A call that says it streams is an attempt until the request is on its way. A status
//! is judged wherever it comes: in the headers, or as the first thing after them.

use super::frames::{Record, broken};
use super::source::Source;
use super::{APP_ID, first};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use proa_core::Runtime;
use proa_core::invocation::{InvokeError, Peer};
use proa_core::metrics::CallShape;
use proa_core::resiliency::{Policy, Verdict};
use proa_core::services::invoke;
use proa_host::middleware::{Body, BoxError};
use proa_model::Grpc;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;
use tonic::Code;

const STATUS: &str = "grpc-status";

/// An answer on its way back.
pub(super) struct Answered {
    pub response: Response<Body>,
    /// Not yet ended.
    pub record: Option<Record>,
    pub deadline: Option<Instant>,
}

impl Answered {
    /// Ends the record if the status is in front.
    pub(super) fn new(response: Response<Body>, mut record: Option<Record>, deadline: Option<Instant>) -> Self {
        if let Some(code) = status(response.headers())
            && let Some(record) = record.take()
        {
            record.end(Code::from_i32(code));
        }
        Self { response, record, deadline }
    }
}

/// What came of an attempt.
enum Outcome<'a> {
    /// With a status if that is all there is.
    Answer(Answered, Option<i32>),
    /// Whether the peer was reached.
    Failed { error: InvokeError, reached: bool },
    /// The request is on its way and nothing is judged any more.
    Open(BoxFuture<'a, Result<Response<Body>, InvokeError>>, Option<Record>),
}

/// A call of a peer.
pub(super) struct Calling<'a> {
    pub runtime: &'a Arc<Runtime>,
    pub parts: &'a Parts,
    /// As the peer gets them.
    pub headers: HeaderMap,
    pub source: &'a Source,
    pub shape: CallShape,
}

impl Calling<'_> {
    pub(super) async fn run(&self, peer: Peer) -> Result<Answered, InvokeError> {
        // A call that another sidecar relays runs under the policies there.
        let policy = match first(&self.parts.headers, &APP_ID).filter(|app_id| !app_id.is_empty()) {
            Some(app_id) => self.runtime.resiliency().app(app_id, self.parts.uri.path()),
            None => Policy::none(),
        };
        let unary = self.shape == CallShape::Unary;
        if unary && policy.retries() {
            self.source.keep();
        }
        let (policy, peer) = (&policy, &peer);
        let outcome = policy.run(|outcome| self.judge(outcome), |number| self.attempt(policy, peer, number)).await;
        self.source.release();
        match outcome? {
            Outcome::Answer(answered, _) => Ok(answered),
            Outcome::Failed { error, .. } => Err(error),
            Outcome::Open(answer, record) => match answer.await {
                Ok(response) => Ok(Answered::new(response, record, None)),
                Err(error) => Err(ended(error, record)),
            },
        }
    }

    fn judge(&self, outcome: &Outcome<'_>) -> Verdict {
        let verdict = match outcome {
            Outcome::Open(..) | Outcome::Answer(_, None | Some(0)) => Verdict::Success,
            Outcome::Answer(_, Some(code)) => Verdict::Code(*code),
            Outcome::Failed { error: InvokeError::Status { code, .. }, reached: true } => Verdict::Code(*code),
            Outcome::Failed { .. } => Verdict::Failure,
        };
        match verdict {
            Verdict::Code(_) | Verdict::Failure if !self.source.is_left() => Verdict::Permanent,
            verdict => verdict,
        }
    }

    async fn attempt(&self, policy: &Policy, known: &Peer, number: u32) -> Outcome<'_> {
        let peer = match number {
            1 => Ok(known.clone()),
            // It may be somewhere else meanwhile.
            _ => invoke::find_again(self.runtime, known).await,
        };
        let peer = match peer {
            Ok(peer) => peer,
            Err(error) => return Outcome::Failed { error, reached: false },
        };
        let unary = self.shape == CallShape::Unary;
        let deadline = policy.timeout().filter(|_| unary).and_then(|timeout| Instant::now().checked_add(timeout));
        let record = record(self.runtime, &self.parts.headers, self.shape, deadline);
        let mut answer: BoxFuture<'_, _> = Box::pin(self.send(peer));
        let answer = match unary {
            true => answer.await,
            false => tokio::select! {
                biased;
                answer = &mut answer => answer,
                () = self.source.begun() => return Outcome::Open(answer, record),
            },
        };
        match answer {
            Ok(response) if policy.applies() && unary => match begin(response).await {
                Ok((response, code)) => Outcome::Answer(judged(response, record, deadline, code), code),
                Err(error) => Outcome::Failed { error: ended(error, record), reached: true },
            },
            Ok(response) => {
                let code = status(response.headers());
                Outcome::Answer(Answered::new(response, record, deadline), code)
            }
            Err(error) => Outcome::Failed { error: ended(error, record), reached: self.source.touched() },
        }
    }

    /// A connection that cannot be made is tried once more at once, while nothing of the request has been read for it.
    async fn send(&self, peer: Peer) -> Result<Response<Body>, InvokeError> {
        let mut headers = self.headers.clone();
        invoke::stamp_proxied(&mut headers, self.runtime, &peer);
        let answer = invoke::proxy(self.runtime, &peer, self.source.request(self.parts, headers.clone())).await;
        match answer {
            Err(error) if error.is(Grpc::Unavailable) && !self.source.touched() => {
                invoke::proxy(self.runtime, &peer, self.source.request(self.parts, headers)).await
            }
            answer => answer,
        }
    }
}

/// Counts a call of the application's; one that comes from another sidecar was counted there.
pub(super) fn record(runtime: &Arc<Runtime>, headers: &HeaderMap, shape: CallShape, deadline: Option<Instant>) -> Option<Record> {
    let destination = first(headers, &APP_ID).filter(|app_id| !app_id.is_empty())?;
    Some(Record::begin(runtime.metrics().clone(), destination.to_owned(), shape, deadline))
}

pub(super) fn ended(error: InvokeError, record: Option<Record>) -> InvokeError {
    if let Some(record) = record {
        record.end(super::code(&error));
    }
    error
}

fn judged(response: Response<Body>, mut record: Option<Record>, deadline: Option<Instant>, code: Option<i32>) -> Answered {
    if let Some(code) = code
        && let Some(record) = record.take()
    {
        record.end(Code::from_i32(code));
    }
    Answered { response, record, deadline }
}

/// The status as it is written: applications have codes that gRPC does not know.
fn status(headers: &HeaderMap) -> Option<i32> {
    let text = headers.get(STATUS)?.to_str().ok();
    Some(text.and_then(|text| text.parse().ok()).unwrap_or(Code::Unknown as i32))
}

/// Reads as far as the first message or the status.
async fn begin(response: Response<Body>) -> Result<(Response<Body>, Option<i32>), InvokeError> {
    if let Some(code) = status(response.headers()) {
        return Ok((response, Some(code)));
    }
    let (parts, mut rest) = response.into_parts();
    let first = loop {
        match rest.frame().await.transpose() {
            Ok(Some(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            Ok(frame) => break frame,
            Err(error) => {
                let status = broken(error);
                return Err(InvokeError::Status { code: status.code() as i32, message: status.message().to_owned() });
            }
        }
    };
    let code = match &first {
        Some(frame) => frame.trailers_ref().map(|trailers| status(trailers).unwrap_or(Code::Unknown as i32)),
        // The stream ended without a status.
        None => Some(Code::Internal as i32),
    };
    Ok((Response::from_parts(parts, Begun { first, rest }.boxed_unsync()), code))
}

/// A body whose first frame was read already.
struct Begun {
    first: Option<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
