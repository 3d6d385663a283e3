//! A request on its way through a handler: where it came from, its parameters, its body.

use crate::body::{self, Inbound, ReadError};
use crate::grpc::trace::{self, Span};
use crate::routes::Params;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use proa_core::{Cx, Runtime, Transport};
use proa_model::error::common;
use proa_model::{Error, Metadata};
use std::borrow::Cow;
use std::sync::Arc;

/// See the module's text.
pub struct Call<'a> {
    pub runtime: &'a Arc<Runtime>,
    pub parts: &'a Parts,
    pub params: Params<'a>,
    body: Option<Inbound>,
}

impl<'a> Call<'a> {
    pub fn new(runtime: &'a Arc<Runtime>, parts: &'a Parts, params: Params<'a>, body: Inbound) -> Self {
        Self { runtime, parts, params, body: Some(body) }
    }

    /// A parameter of the path, unescaped; the router has refused bad escapes.
    pub fn param(&self, position: usize) -> String {
        super::query::unescape(self.params.get(position)).map(Cow::into_owned).unwrap_or_default()
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<Cow<'a, str>> {
        super::query::value(self.parts.uri.query(), name)
    }

    /// The metadata of the query.
    pub fn metadata(&self) -> Metadata {
        super::query::metadata(self.parts.uri.query())
    }

    pub fn header(&self, name: &str) -> Option<&'a str> {
        text(&self.parts.headers, name)
    }

    /// The whole body. A second call finds nothing.
    pub async fn body(&mut self) -> Result<Bytes, Error> {
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        body::read(body, self.runtime.options().max_body_size).await.map_err(|error| match error {
            ReadError::TooLarge(limit) => common::too_large(limit),
            ReadError::Broken(why) => common::body_read(&why),
        })
    }

    /// The body as it comes. A second call finds none.
    pub fn take_body(&mut self) -> Option<Inbound> {
        self.body.take()
    }

    /// Trace context is taken over when it is well formed and tracing is not switched off.
    pub fn cx(&self) -> Cx {
        let headers = &self.parts.headers;
        let mut cx = Cx::new(Transport::Http);
        if let Some(span) = text(headers, "traceparent").and_then(Span::from_text)
            && trace::enabled(&self.runtime.configuration().tracing.sampling_rate)
        {
            cx.traceparent = Some(span.text());
            cx.tracestate = text(headers, "tracestate").map(str::to_owned);
        }
        cx.baggage = joined(headers, "baggage");
        cx
    }
}

/// All values of a header as one.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let first = values.next()?;
    Some(values.fold(first.to_owned(), |all, one| format!("{all},{one}")))
}

pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}
