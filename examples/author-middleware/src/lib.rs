//! `middleware.http.example-headers`: sets headers of every response and tells how long it took. Bodies pass by unseen, so it costs the
//! same for a byte and a gigabyte. A malformed line of the configuration keeps the component from starting.

use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::middleware::{Body, Error, Exchange, Headers, Reply, RequestHead, handler::Handler, pass};
use proa_sdk::properties::invalid;
use proa_sdk::Properties;
use std::time::Instant;

struct ResponseHeaders {
    headers: Headers,
    server_timing: bool,
}

/// A line of the configuration; names go over the wire in lower case.
fn parse(line: &str) -> Result<(String, Vec<u8>), InitError> {
    let wrong = || invalid("headers", format!("{line:?} is not of the form `name: value`"));
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().to_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(wrong());
    }
    Ok((name, value.trim().into()))
}

impl Component for ResponseHeaders {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let lines = properties.get("headers").unwrap_or_default().lines().filter(|l| !l.trim().is_empty());
        Ok(Self {
            headers: lines.map(parse).collect::<Result<_, _>>()?,
            server_timing: properties.bool("serverTiming").unwrap_or(true),
        })
    }
}

impl Handler for ResponseHeaders {
    async fn handle(&self, exchange: Exchange, _head: RequestHead) -> Result<Reply, Error> {
        let start = Instant::now();
        // No head and `keep`: the request goes on as it came.
        let mut response = exchange.next(None, Body::Keep).await?;
        response.headers.retain(|(name, _)| !self.headers.iter().any(|(n, _)| n == name));
        response.headers.extend(self.headers.iter().cloned());
        if self.server_timing {
            let millis = start.elapsed().as_secs_f64() * 1000.0;
            response.headers.push(("server-timing".into(), format!("next;dur={millis:.3}").into()));
        }
        Ok(pass(response))
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    ResponseHeaders: middleware::handler
}
