//! Stages that are components of the standard world `wasi:http/middleware`: they import the handler that follows them and know nothing of Proa.
//!
//! One store serves all requests, interleaved. What follows a stage belongs to the request: the import finds it by the guest task that calls.
//! The world withholds hop-by-hop headers and `host` from guests; they go on from the request as it came. Against the exchange of Proa's own
//! interface a header change costs about twice the CPU; a body that is not touched passes by reference, with its own trailers.
//! A stage that traps makes the bodies that it was writing fail. Requests of its own (`wasi:http/client`) are denied.

mod body;
mod head;

use super::exchange::AbortOnDrop;
use super::{Body, BoxError, Service, StageError};
use crate::Generation;
use crate::ctx::Ctx;
use crate::exports::Exports;
use crate::imports::log::GuestLog;
use body::{Inward, Outward};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode, request};
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Access, Accessor, GuestTaskId, HasSelf, Linker, Resource};
use wasmtime::{AsContextMut, Result};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// What a manifest names as its `world`, with or without a version.
pub const WORLD: &str = "wasi:http/middleware";

/// What a store keeps for the interfaces of `wasi:http`.
pub struct State {
    http: WasiHttpCtx,
    hooks: Hooks,
    calls: Calls,
    /// Set before anything that the store was writing is dropped: an end that is seen afterwards is none.
    pub gone: Arc<AtomicBool>,
}

impl State {
    pub fn new(log: GuestLog) -> Self {
        Self { http: WasiHttpCtx::new(), hooks: Hooks(log), calls: Calls::default(), gone: Arc::default() }
    }
}

struct Hooks(GuestLog);

type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    /// The header of the request as it came is kept; a second one would be wrong.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sent,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Sent), Error>> + Send> {
        self.0.denied("http", request.uri().authority().map_or("", |a| a.as_str()));
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.standard.hooks, table: &mut self.table, ctx: &mut self.standard.http }
    }
}

/// One request in a stage.
struct Call {
    next: Arc<dyn Service>,
    /// The request as it came, of its headers only those that the guest does not see.
    parts: request::Parts,
    cancel: CancellationToken,
    /// How many requests the rest of the pipeline has now.
    in_next: AtomicUsize,
    /// What `next` failed with, so that the caller gets it and not the guest's retelling.
    failure: Mutex<Option<BoxError>>,
    /// The same of a body.
    broken: Mutex<Option<BoxError>>,
    /// Of the last response that came from `next`.
    extensions: Mutex<http::Extensions>,
}

impl Call {
    fn put<T>(slot: &Mutex<T>, value: T) {
        if let Ok(mut slot) = slot.lock() {
            *slot = value;
        }
    }

    fn take<T: Default>(slot: &Mutex<T>) -> T {
        slot.lock().map(|mut slot| std::mem::take(&mut *slot)).unwrap_or_default()
    }
}

/// The requests in a store, by the task that serves each. Ids are used again: an entry is removed only by the call that made it.
#[derive(Default)]
struct Calls {
    made: u64,
    open: HashMap<GuestTaskId, (u64, Arc<Call>)>,
}

impl Calls {
    fn open(&mut self, task: GuestTaskId, call: Arc<Call>) -> u64 {
        self.made += 1;
        self.open.insert(task, (self.made, call));
        self.made
    }

    fn close(&mut self, task: GuestTaskId, number: u64) {
        if self.open.get(&task).is_some_and(|(n, _)| *n == number) {
            self.open.remove(&task);
        }
    }
}

impl Generation {
    /// Whether this is a component of the standard world.
    pub(super) fn is_standard(&self) -> bool {
        self.has(crate::exports::Indices::standard) && self.world().is_some_and(is_world)
    }

    pub(super) async fn handle_standard(&self, request: http::Request<Body>, next: Arc<dyn Service>) -> Result<http::Response<Body>, StageError> {
        let (mut parts, body) = request.into_parts();
        let headers = head::withhold(&mut parts);
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let (in_next, failure, broken, extensions) = Default::default();
        let call = Arc::new(Call { next, parts, cancel, in_next, failure, broken, extensions });
        let served = call.clone();
        self.ready().await;
        let run = self.call_within(None, move |accessor, exports| Box::pin(serve(accessor, exports, served, headers, body)));
        let reply = self.watched(run, || call.in_next.load(Ordering::Relaxed) > 0).await?;
        let response = reply.map_err(|code| match Call::take(&call.failure) {
            Some(cause) => StageError::Next(cause),
            None => StageError::Guest(Error::from(code).to_string()),
        })?;
        // The request goes on living in its response body: only a caller that went away cancels it.
        guard.disarm();
        Ok(response)
    }
}

/// Whether a manifest's `world` is the standard one.
pub fn is_world(name: &str) -> bool {
    name.split('@').next() == Some(WORLD)
}

/// Calls the guest's handler.
async fn serve(
    accessor: &Accessor<Ctx>,
    exports: &Exports,
    call: Arc<Call>,
    headers: HeaderMap,
    body: Body,
) -> Result<Result<http::Response<Body>, ErrorCode>> {
    let handler = exports.standard.as_ref().ok_or_else(|| wasmtime::format_err!("wasi:http/handler is not exported"))?.func_handle();
    let (running, task, number) = accessor.with(|mut access| -> Result<_> {
        let ctx = access.get();
        let parts = &call.parts;
        let (request, _read) = Request::new(
            parts.method.clone(),
            Some(parts.uri.scheme().cloned().unwrap_or(Scheme::HTTP)),
            head::authority(parts),
            head::path(parts),
            FieldMap::new_immutable(&mut ctx.standard.hooks, headers),
            None,
            Inward::new(body, call.clone()),
        );
        let request = ctx.table.push(request)?;
        let running = handler.start_call_concurrent(&mut access, (request,))?;
        let task = running.task();
        let number = access.get().standard.calls.open(task, call.clone());
        Ok((running, task, number))
    })?;
    let outcome = handler.finish_call_concurrent(accessor, running).await;
    accessor.with(|mut access| {
        access.get().standard.calls.close(task, number);
        match outcome? {
            (Ok(response),) => leaving(&mut access, &call, response),
            (Err(code),) => Ok(Err(code)),
        }
    })
}

type Full<'a> = Access<'a, Ctx, HasSelf<Ctx>>;

/// The response that the guest made.
fn leaving(access: &mut Full<'_>, call: &Arc<Call>, response: Resource<Response>) -> Result<Result<http::Response<Body>, ErrorCode>> {
    let response = access.get().table.delete(response)?;
    let gone = access.get().standard.gone.clone();
    let (sent, is_sent) = oneshot::channel();
    let response = match response.into_http(access.as_context_mut(), async move { is_sent.await.unwrap_or(Ok(())) }) {
        Ok(response) => response,
        // Its headers do not make sense; that concerns this request only.
        Err(error) => return Ok(Err(ErrorCode::InternalError(Some(error.to_string())))),
    };
    let bodiless = call.parts.method == Method::HEAD || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let (mut parts, body) = response.into_parts();
    parts.extensions = Call::take(&call.extensions);
    // There the length is that of a body which is not sent; it must not be checked against one.
    let body = if bodiless { super::body::empty() } else { Outward::new(body, call.clone(), gone, sent).boxed_unsync() };
    Ok(Ok(http::Response::from_parts(parts, body)))
}

/// The request that the guest made, and the one that it belongs to.
fn forwarded(access: &mut Full<'_>, request: Resource<Request>) -> Result<Result<(Arc<Call>, http::Request<Body>), ErrorCode>> {
    let mut request = access.get().table.delete(request)?;
    let asked = request.authority.replace(Authority::from_static("localhost"));
    let path = request.path_with_query.replace(PathAndQuery::from_static("/"));
    request.scheme = Some(Scheme::HTTP);
    let gone = access.get().standard.gone.clone();
    let (sent, is_sent) = oneshot::channel();
    let (made, _options) = match request.into_http(access.as_context_mut(), async move { is_sent.await.unwrap_or(Ok(())) }) {
        Ok(made) => made,
        Err(error) => return Ok(Err(error.downcast()?)),
    };
    let task = access.as_context_mut().async_call_stack()?.last();
    let Some(call) = task.and_then(|t| access.get().standard.calls.open.get(&t)).map(|(_, call)| call.clone()) else {
        return Ok(Err(ErrorCode::InternalError(Some("the request that this belongs to has been answered".into()))));
    };
    let (made, body) = made.into_parts();
    let Some(parts) = head::merged(&call.parts, made, asked, path) else { return Ok(Err(ErrorCode::HttpRequestUriInvalid)) };
    let body = Outward::new(body, call.clone(), gone, sent).boxed_unsync();
    Ok(Ok((call, http::Request::from_parts(parts, body))))
}

/// While it lives, time is the rest of the pipeline's.
struct Away<'a>(&'a AtomicUsize);

impl<'a> Away<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The import: the rest of the pipeline.
async fn next(accessor: &Accessor<Ctx>, request: Resource<Request>) -> Result<Result<Resource<Response>, ErrorCode>> {
    let (call, request) = match accessor.with(|mut access| forwarded(&mut access, request))? {
        Ok(forwarded) => forwarded,
        Err(code) => return Ok(Err(code)),
    };
    let away = Away::new(&call.in_next);
    let rest = call.next.clone();
    // In a task of its own: what follows must not run inside this guest's event loop.
    let mut task = AbortOnDrop(tokio::spawn(async move { rest.call(request).await }));
    let answer = tokio::select! {
        answer = &mut task.0 => answer,
        () = call.cancel.cancelled() => return Ok(Err(ErrorCode::ConnectionTerminated)),
    };
    drop(away);
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            let text = error.to_string();
            Call::put(&call.failure, Some(error));
            return Ok(Err(ErrorCode::InternalError(Some(text))));
        }
        Err(error) => return Ok(Err(ErrorCode::InternalError(Some(error.to_string())))),
    };
    Call::put(&call.extensions, std::mem::take(response.extensions_mut()));
    let response = response.map(|body| Inward::new(body, call.clone()));
    accessor.with(|mut access| {
        let ctx = access.get();
        let (response, _read) = Response::from_http(&mut ctx.standard.hooks, response);
        Ok(Ok(ctx.table.push(response)?))
    })
}

/// Everything that the world imports of `wasi:http`.
pub fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    linker
        .instance("wasi:http/handler@0.3.0")?
        .func_wrap_concurrent("handle", |accessor, (request,): (Resource<Request>,)| Box::pin(async move { Ok((next(accessor, request).await?,)) }))
}
