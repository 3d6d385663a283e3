//! Calls of other applications, handed to one that speaks HTTP. Bodies pass through in both directions; the place that a call takes is
//! free again when its answer has been read.

use super::{HttpApp, HttpClient, TOKEN, connect};
use crate::body::{Inbound, Payload};
use crate::invocation::http_headers;
use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use proa_core::invocation::{InvokeBody, InvokeError, InvokeRequest, InvokeResponse};
use proa_core::{Metrics, Runtime};
use proa_host::middleware::{Body, BoxError, Service};
use proa_model::Grpc;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A client with everything around it: middleware, a limit of calls at the same time, metrics.
pub(crate) struct Way {
    /// Weak: the runtime holds this.
    pub(crate) runtime: Weak<Runtime>,
    pub(crate) metrics: Metrics,
    pub(crate) client: HttpClient,
    /// The client as the end of a pipeline.
    pub(crate) end: Arc<dyn Service>,
    pub(crate) permits: Option<Arc<Semaphore>>,
}

impl Way {
    /// Sends a request; `path` is what metrics call it.
    pub(crate) async fn send(&self, path: &str, request: Request<Payload>) -> Result<InvokeResponse, InvokeError> {
        let method = request.method().clone();
        let permit = match &self.permits {
            Some(permits) => Some(permits.clone().acquire_owned().await.map_err(|e| InvokeError::Plain(e.to_string()))?),
            None => None,
        };
        self.metrics.http_client_started(method.as_str(), path, request.body().length());
        let begun = Instant::now();
        let answer = self.pass(request).await;
        let status = answer.as_ref().map_or(500, |a| a.status().as_u16());
        let length = answer.as_ref().ok().and_then(|a| a.headers().get(CONTENT_LENGTH)).and_then(|l| l.to_str().ok()).and_then(|l| l.parse().ok());
        self.metrics.http_client_completed(method.as_str(), path, status, begun.elapsed(), length.unwrap_or(0));
        answer.map(|answer| response(&method, answer, permit))
    }

    async fn pass(&self, mut request: Request<Payload>) -> Result<Response<Body>, InvokeError> {
        let failed = |request: &str, why: String| InvokeError::Plain(format!("{request}: {why}"));
        let what = format!("{} {:?}", capitalised(request.method()), request.uri().to_string());
        match self.runtime.upgrade().and_then(|runtime| runtime.app_pipeline(self.end.clone())) {
            Some(pipeline) => {
                // Middleware may change the body.
                request.headers_mut().remove(CONTENT_LENGTH);
                pipeline.call(request.map(Payload::boxed)).await.map_err(|e| failed(&what, e.to_string()))
            }
            None => {
                let response = self.client.request(request).await.map_err(|e| failed(&what, connect::told(&e)))?;
                let announced = response.headers().contains_key(CONTENT_LENGTH);
                Ok(response.map(|body| if announced { forgiving(body) } else { Inbound::Wire(body).boxed_unsync() }))
            }
        }
    }
}

impl HttpApp {
    pub(super) async fn hand_over(&self, request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        let path = request.method.clone();
        let address = address(&request)?;
        let uri = self.target.uri(&address).map_err(InvokeError::Plain)?;
        let mut request = outgoing(uri, request)?;
        if self.traces {
            crate::trace::put_http(request.headers_mut());
        }
        if let Some(token) = &self.token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        self.way.send(&path, request).await
    }
}

/// Method and query of a request as an address has them.
pub(crate) fn address(request: &InvokeRequest) -> Result<String, InvokeError> {
    if let Some(bad) = bad_escape(&request.method) {
        return Err(InvokeError::Plain(format!("parse {:?}: invalid URL escape {bad:?}", request.method)));
    }
    Ok(if request.query.is_empty() { request.method.clone() } else { format!("{}?{}", request.method, request.query) })
}

/// A request as HTTP sends it.
pub(crate) fn outgoing(uri: Uri, request: InvokeRequest) -> Result<Request<Payload>, InvokeError> {
    let method = verb(&request.verb)?;
    let mut headers = http_headers(&request.headers);
    if let Ok(content_type) = HeaderValue::from_str(&request.content_type)
        && !content_type.is_empty()
    {
        headers.insert(CONTENT_TYPE, content_type);
    }
    let body = match request.body {
        InvokeBody::Full(bytes) if bytes.is_empty() => Payload::Empty,
        InvokeBody::Full(bytes) => Payload::Full(bytes),
        InvokeBody::Stream(body) => {
            if let Some(length) = request.headers.get(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, length.clone());
            }
            Payload::Stream(body)
        }
    };
    let mut outgoing = Request::new(body);
    (*outgoing.method_mut(), *outgoing.uri_mut(), *outgoing.headers_mut()) = (method, uri, headers);
    Ok(outgoing)
}

/// A body that may end before the length that was announced for it, which applications get wrong; Dapr takes what came for the whole.
fn forgiving(body: Incoming) -> Body {
    let frames = stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.frame().await? {
            Ok(frame) => Some((Ok(frame), Some(body))),
            Err(error) if is_early_end(&error) => None,
            Err(error) => Some((Err(BoxError::from(error)), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn is_early_end(error: &hyper::Error) -> bool {
    error.source().and_then(|e| e.downcast_ref::<io::Error>()).is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof)
}

/// The first escape of a decoded path that is none: such a path is no address.
fn bad_escape(path: &str) -> Option<&str> {
    path.match_indices('%').map(|(at, _)| path.get(at..at + 3).unwrap_or_else(|| path.get(at..).unwrap_or_default())).find(|escape| {
        let digits = escape.get(1..).unwrap_or_default();
        digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn verb(text: &str) -> Result<Method, InvokeError> {
    match text {
        "" | "CONNECT" => Err(InvokeError::status(Grpc::InvalidArgument, "invalid HTTP verb")),
        text => Method::from_bytes(text.as_bytes()).map_err(|e| InvokeError::status(Grpc::InvalidArgument, e.to_string())),
    }
}

/// As Go's client names a method in its errors.
fn capitalised(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_ascii_lowercase())
}

fn response(method: &Method, answer: Response<Body>, permit: Option<OwnedSemaphorePermit>) -> InvokeResponse {
    let (parts, body) = answer.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = match permit {
        None => body,
        Some(permit) => body
            .map_frame(move |frame| {
                let _keep = &permit;
                frame
            })
            .boxed_unsync(),
    };
    let mut headers = http_headers(&parts.headers);
    // Middleware may change bodies and applications get lengths wrong; only where there is no body the length is all that is asked for.
    if let Some(length) = parts.headers.get(CONTENT_LENGTH).filter(|_| method == Method::HEAD) {
        headers.insert(CONTENT_LENGTH, length.clone());
    }
    InvokeResponse {
        status: parts.status.as_u16().into(),
        message: String::new(),
        details: Vec::new(),
        headers,
        trailers: http::HeaderMap::new(),
        content_type,
        type_url: String::new(),
        body: InvokeBody::Stream(body),
    }
}
