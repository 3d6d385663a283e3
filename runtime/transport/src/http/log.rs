//! The log of API calls: one line a call when it is switched on.

use super::invoke;
use super::query::unescape_path;
use super::reply::Reply;
use super::request::text;
use crate::routes::{Operation, Route};
use http::request::Parts;
use proa_core::Runtime;
use std::borrow::Cow;
use std::time::Instant;

/// What is logged, and how.
pub struct ApiLog {
    /// Names in place of paths.
    obfuscate: bool,
    health: bool,
}

impl ApiLog {
    /// None when it is off.
    pub fn new(runtime: &Runtime) -> Option<Self> {
        let logging = runtime.configuration().api_logging;
        let on = runtime.options().enable_api_logging.unwrap_or(logging.enabled);
        on.then_some(Self { obfuscate: logging.obfuscate_urls, health: !logging.omit_health_checks })
    }

    pub fn begin(&self) -> Instant {
        Instant::now()
    }

    pub fn write(&self, begun: Instant, route: Option<&Route>, parts: &Parts, reply: &Reply) {
        if route.is_some_and(Route::is_health) && !self.health {
            return;
        }
        let path = unescape_path(parts.uri.path());
        let method: Cow<'_, str> = match route {
            _ if !self.obfuscate => format!("{} {path}", parts.method).into(),
            None => "".into(),
            Some(route) if route.operation == Operation::InvokeService => match invoke::target(&path, &parts.headers) {
                Some((app, _)) => format!("InvokeService/{app}").into(),
                None => "InvokeService".into(),
            },
            Some(route) => route.name.into(),
        };
        tracing::info!(
            target: "dapr.runtime.http-info",
            method = &*method,
            useragent = text(&parts.headers, "user-agent").filter(|a| !a.is_empty()),
            code = reply.status().as_u16(),
            size = reply.body().length(),
            duration = begun.elapsed().as_millis() as u64,
            "HTTP API Called"
        );
    }
}
