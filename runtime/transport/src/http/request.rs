//! A request on its way through a handler: where it came from, its parameters, its body.

use crate::body::{self, Inbound, ReadError};
use crate::routes::Params;
use crate::trace as wire;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use proa_core::trace;
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

    /// The span that the request is in, and its baggage.
    pub fn cx(&self) -> Cx {
        let baggage = wire::joined(&self.parts.headers, &wire::BAGGAGE);
        match trace::current() {
            Some(span) => Cx::of(Transport::Http, &span, baggage),
            None => Cx { baggage, ..Cx::new(Transport::Http) },
        }
    }
}

pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}
