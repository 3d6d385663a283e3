//! `bindings.http`: one HTTP request an invocation, to the configured endpoint, over kept-alive connections.
//!
//! The operation is the method. Metadata of the request whose name begins with a capital letter are headers; `path` is appended to the
//! URL. Redirections are followed as browsers and Go do. The component reaches the hosts that its configuration names and no others.

mod exchange;
mod redirect;
mod settings;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_core::{Outgoing, Pool, Target};
use proa_sdk::bindings::{Error, Metadata, Request, Response, output::Output};
use proa_sdk::component::{Component, Config, InitError};
use settings::{Settings, truthy};

struct Http {
    settings: Settings,
    pool: Pool,
}

const OPERATIONS: [&str; 9] = ["create", "get", "head", "post", "put", "patch", "delete", "options", "trace"];
/// Headers that follow from the request itself.
const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "trailer"];
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

fn entry<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    let wrong = || Error::InvalidArgument(format!("net/http: invalid header field {name:?}"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?);
    Ok(())
}

impl Http {
    fn headers(&self, metadata: &Metadata, target: &Target, has_body: bool) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        put(&mut headers, "user-agent", "proa")?;
        if has_body && !metadata.iter().any(|(n, _)| n == "Content-Type") {
            put(&mut headers, "content-type", "application/json; charset=utf-8")?;
        }
        if !metadata.iter().any(|(n, _)| n == "Accept") {
            put(&mut headers, "accept", "application/json; charset=utf-8")?;
        }
        if let Some(credentials) = &target.credentials {
            put(&mut headers, "authorization", credentials)?;
        }
        if let Some((name, token)) = &self.settings.security_token {
            put(&mut headers, name, token)?;
        }
        for (name, value) in metadata {
            if name.starts_with(|c: char| c.is_ascii_uppercase()) && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                put(&mut headers, name, value)?;
            }
        }
        for name in TRACE {
            let Some(value) = entry(metadata, name) else { continue };
            if headers.contains_key(name) {
                proa_sdk::log::warn(format!("tracing is on: the request's own {name} header is ignored"));
            }
            put(&mut headers, name, value)?;
        }
        Ok(headers)
    }

    fn outgoing(&self, request: Request) -> Result<Outgoing, Error> {
        let method = match request.operation.to_ascii_uppercase().as_str() {
            "CREATE" | "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "DELETE" => Method::DELETE,
            "OPTIONS" => Method::OPTIONS,
            "TRACE" => Method::TRACE,
            _ => return Err(Error::UnsupportedOperation(format!("invalid operation: {}", request.operation))),
        };
        let url = match entry(&request.metadata, "path") {
            Some(path) => format!("{}/{}", self.settings.url.trim_end_matches('/'), path.trim_start_matches('/')),
            None => self.settings.url.clone(),
        };
        let target = Target::parse(&url).map_err(|e| Error::InvalidArgument(e.to_string()))?;
        let has_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
        let headers = self.headers(&request.metadata, &target, has_body)?;
        Ok(Outgoing { method, target, headers, body: has_body.then(|| Bytes::from(request.data)), safe: false })
    }
}

impl Component for Http {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&config)?;
        let pool = Pool::new(settings.tls.clone());
        Ok(Self { settings, pool })
    }

    async fn close(&self) {
        self.pool.clear();
    }
}

impl Output for Http {
    fn operations() -> Vec<String> {
        OPERATIONS.map(str::to_owned).into()
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let error_if_not_2xx = entry(&request.metadata, "errorIfNot2XX").map_or(self.settings.error_if_not_2xx, truthy);
        let outgoing = self.outgoing(request)?;
        let (method, url) = (outgoing.method.clone(), outgoing.target.to_string());
        let run = exchange::run(&self.pool, outgoing, self.settings.max_body);
        let outcome = match self.settings.response_timeout {
            None => run.await,
            Some(limit) => {
                proa_sdk::time::timeout(limit, run).await.unwrap_or_else(|| Err(http_core::Error::Broken("context deadline exceeded".to_owned())))
            }
        };
        let answer = outcome.map_err(|e| Error::Unavailable(format!("{} \"{url}\": {e}", exchange::title(method.as_str()))))?;
        if error_if_not_2xx && answer.status / 100 != 2 {
            return Err(Error::Rejected((format!("received status code {}", answer.status), answer.metadata, answer.body)));
        }
        Ok(Response { data: Some(answer.body), content_type: None, metadata: answer.metadata })
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Http: bindings::output
}
