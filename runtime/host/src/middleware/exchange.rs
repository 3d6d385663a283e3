//! One request on its way through one stage, as the guest sees it.

use super::body::{self, Body};
use super::head;
use super::{BoxError, Service};
use crate::ctx::Ctx;
use crate::imports::OnCtx;
use crate::wit::proa::middleware::types::{self as wit, Error, Headers, HostExchange, HostExchangeWithStore, RequestHead, ResponseHead};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, FutureReader, HasSelf, Resource, StreamReader};

type Streams = (StreamReader<u8>, FutureReader<Result<Option<Headers>, Error>>);

/// What guest and host both hold of one exchange.
pub struct Inner {
    request: Option<http::request::Parts>,
    request_body: Option<Body>,
    response: Option<http::response::Parts>,
    response_body: Option<Body>,
    /// Whether the rest of the pipeline has the request now.
    pub in_next: bool,
    /// What `next` failed with, so that the caller gets it and not the guest's retelling.
    pub failure: Option<BoxError>,
}

type Shared = Arc<Mutex<Inner>>;

/// See the module's text.
pub struct Exchange {
    inner: Shared,
    next: Arc<dyn Service>,
    cancel: CancellationToken,
}

fn locked(inner: &Shared) -> wasmtime::Result<std::sync::MutexGuard<'_, Inner>> {
    inner.lock().map_err(|_| wasmtime::format_err!("exchange is poisoned"))
}

/// Cancels the exchange when the caller goes away.
pub struct Guard(DropGuard);

impl Guard {
    pub fn disarm(self) {
        self.0.disarm();
    }
}

impl Exchange {
    pub fn new(request: http::Request<Body>, next: Arc<dyn Service>) -> (Self, RequestHead, Guard) {
        let (parts, body) = request.into_parts();
        let head = head::request_head(&parts);
        let inner = Inner { request: Some(parts), request_body: Some(body), response: None, response_body: None, in_next: false, failure: None };
        let cancel = CancellationToken::new();
        let guard = Guard(cancel.clone().drop_guard());
        (Self { inner: Arc::new(Mutex::new(inner)), next, cancel }, head, guard)
    }

    pub fn shared(&self) -> Shared {
        self.inner.clone()
    }
}

/// A guest's body; `kept` is what `keep` stands for.
fn take_body(store: impl AsContextMut<Data = Ctx>, body: wit::Body, kept: Option<Body>) -> wasmtime::Result<Body> {
    let mut store = store;
    Ok(match body {
        wit::Body::Keep => kept.unwrap_or_else(body::empty),
        wit::Body::Empty => body::empty(),
        wit::Body::Bytes(bytes) => body::full(Bytes::from(bytes)),
        wit::Body::Data(streams) => body::from_guest(store.as_context_mut(), streams)?,
    })
}

/// The response that a guest's reply stands for; the text of an inner error is the guest's fault.
pub fn response(
    access: &mut Access<'_, Ctx, HasSelf<Ctx>>,
    shared: &Shared,
    reply: wit::Reply,
) -> wasmtime::Result<Result<http::Response<Body>, String>> {
    let (kept_parts, kept_body) = {
        let mut inner = locked(shared)?;
        (inner.response.take(), inner.response_body.take())
    };
    let changed = !matches!(reply.body, wit::Body::Keep);
    let body = take_body(access.as_context_mut(), reply.body, kept_body)?;
    let mut parts = match (reply.head, kept_parts) {
        (Some(head), kept) => match head::response_parts(head) {
            Ok(mut parts) => {
                parts.extensions = kept.map(|k| k.extensions).unwrap_or_default();
                parts
            }
            Err(why) => return Ok(Err(why)),
        },
        (None, Some(kept)) => kept,
        (None, None) => return Ok(Err("it neither called next nor answered with a head".into())),
    };
    if changed {
        // The length of what came in says nothing of what goes out.
        parts.headers.remove(http::header::CONTENT_LENGTH);
    }
    Ok(Ok(http::Response::from_parts(parts, body)))
}

/// A body for the guest to read; none when there is none, or it was taken before.
fn give(mut access: Access<'_, Ctx, OnCtx>, this: &Resource<Exchange>, pick: fn(&mut Inner) -> Option<Body>) -> wasmtime::Result<Option<Streams>> {
    let inner = access.get().table.get(this)?.shared();
    let body = pick(&mut *locked(&inner)?);
    body.filter(|b| !http_body::Body::is_end_stream(b)).map(|b| body::to_guest(access.as_context_mut(), b)).transpose()
}

impl HostExchangeWithStore<Ctx> for OnCtx {
    fn request_body(access: Access<'_, Ctx, Self>, this: Resource<Exchange>) -> wasmtime::Result<Option<Streams>> {
        give(access, &this, |inner| inner.request_body.take())
    }

    fn response_body(access: Access<'_, Ctx, Self>, this: Resource<Exchange>) -> wasmtime::Result<Option<Streams>> {
        give(access, &this, |inner| inner.response_body.take())
    }

    async fn next(
        accessor: &Accessor<Ctx, Self>,
        this: Resource<Exchange>,
        head: Option<RequestHead>,
        body: wit::Body,
    ) -> wasmtime::Result<Result<ResponseHead, Error>> {
        let prepared = accessor.with(|mut access| -> wasmtime::Result<_> {
            let exchange = access.get().table.get(&this)?;
            let (inner, next, cancel) = (exchange.inner.clone(), exchange.next.clone(), exchange.cancel.clone());
            let (parts, kept) = {
                let mut inner = locked(&inner)?;
                (inner.request.take(), inner.request_body.take())
            };
            let changed = !matches!(body, wit::Body::Keep);
            let body = take_body(access.as_context_mut(), body, kept)?;
            Ok((inner, next, cancel, parts, body, changed))
        })?;
        let (inner, next, cancel, parts, body, changed) = prepared;
        let Some(parts) = parts else { return Ok(Err(Error::Other("next was called already".into()))) };
        let mut parts = match head {
            None => parts,
            Some(head) => match head::apply_request_head(parts, head) {
                Ok(parts) => parts,
                Err(why) => return Ok(Err(Error::Other(why))),
            },
        };
        if changed {
            parts.headers.remove(http::header::CONTENT_LENGTH);
        }
        let request = http::Request::from_parts(parts, body);
        // In a task of its own: what follows must not run inside this guest's event loop.
        locked(&inner)?.in_next = true;
        let mut task = AbortOnDrop(tokio::spawn(async move { next.call(request).await }));
        let answer = tokio::select! {
            answer = &mut task.0 => answer,
            () = cancel.cancelled() => return Ok(Err(Error::Broken("the client went away".into()))),
        };
        let mut inner = locked(&inner)?;
        inner.in_next = false;
        match answer {
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                let head = head::response_head(&parts);
                inner.response = Some(parts);
                inner.response_body = Some(body);
                Ok(Ok(head))
            }
            Ok(Err(error)) => {
                let text = error.to_string();
                inner.failure = Some(error);
                Ok(Err(Error::Broken(text)))
            }
            Err(error) => Ok(Err(Error::Other(error.to_string()))),
        }
    }
}

/// A task that ends when nobody waits for it any more.
pub(super) struct AbortOnDrop<T>(pub tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HostExchange for &mut Ctx {
    fn drop(&mut self, this: Resource<Exchange>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::Host for &mut Ctx {}
