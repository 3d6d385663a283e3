//! Consul's HTTP API, as far as name resolution needs it. Every request has a deadline; the texts of failures are those of Consul's own
//! library for Go.

use crate::settings::{Client, Query, escape};
use http::{HeaderMap, HeaderValue, Method, header};
use http_core::{Outgoing, Pool, Target};
use proa_sdk::time::timeout;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(5);
/// How long a blocking query is held when nothing else is said.
const WAIT: Duration = Duration::from_secs(300);
const LARGEST: usize = 16 << 20;

/// Why there is no answer; `gone` if the agent was not reached or did not answer in time.
#[derive(Debug)]
pub struct Failure {
    pub gone: bool,
    pub text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Option<Place>,
    service: Place,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Place {
    address: Option<String>,
    meta: Option<HashMap<String, String>>,
}

/// One healthy instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub host: String,
    /// None: the meta does not say.
    pub port: Option<String>,
}

pub struct Agent {
    client: Client,
    query: Query,
    port_key: String,
    pool: Pool,
}

impl Agent {
    pub fn new(client: Client, query: Query, port_key: String) -> Self {
        let pool = Pool::new(client.tls.clone()).dial_within(DEADLINE);
        Self { client, query, port_key, pool }
    }

    pub async fn register(&self, registration: &Map<String, Value>) -> Result<(), Failure> {
        let body = serde_json::to_vec(registration).map_err(|e| Failure { gone: false, text: e.to_string() })?;
        self.ask(Method::PUT, "/v1/agent/service/register?", None, Some(body), DEADLINE).await.map(drop)
    }

    pub async fn deregister(&self, id: &str) -> Result<(), Failure> {
        self.ask(Method::PUT, &format!("/v1/agent/service/deregister/{}?", escape(id)), None, None, DEADLINE).await.map(drop)
    }

    /// Whether the agent answers.
    pub async fn check(&self) -> Result<(), Failure> {
        self.ask(Method::GET, "/v1/agent/self?", None, None, DEADLINE).await.map(drop)
    }

    /// The healthy instances of a service, as the configuration's options say.
    pub async fn find(&self, service: &str) -> Result<Vec<Instance>, Failure> {
        let cached = if self.query.cached.is_some() { "&cached" } else { "" };
        let path = format!("/v1/health/service/{}?passing=1{cached}{}", escape(service), self.query.parameters);
        let (_, body) = self.ask(Method::GET, &path, self.query.cached.as_deref(), None, DEADLINE).await?;
        self.instances(&body)
    }

    /// The same, once it differs from what it was at `index`; with the new index.
    pub async fn follow(&self, service: &str, index: u64) -> Result<(u64, Vec<Instance>), Failure> {
        let wait = self.query.wait.or(self.client.wait).unwrap_or(WAIT);
        let path = format!("/v1/health/service/{}?passing=1&index={index}&wait={}ms{}", escape(service), wait.as_millis(), self.query.parameters);
        // Consul adds a sixteenth at most.
        let (index, body) = self.ask(Method::GET, &path, None, None, wait + wait / 8 + DEADLINE).await?;
        Ok((index, self.instances(&body)?))
    }

    fn instances(&self, body: &[u8]) -> Result<Vec<Instance>, Failure> {
        let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|e| Failure { gone: false, text: e.to_string() })?;
        let given = |place: Option<&Place>| place.and_then(|p| p.address.clone()).filter(|a| !a.is_empty());
        let instance = |entry: &Entry| {
            let host = given(Some(&entry.service)).or_else(|| given(entry.node.as_ref()))?;
            let port = entry.service.meta.as_ref().and_then(|meta| meta.get(&self.port_key)).filter(|p| !p.is_empty()).cloned();
            Some(Instance { host, port })
        };
        Ok(entries.iter().filter_map(instance).collect())
    }

    async fn ask(&self, method: Method, path: &str, cached: Option<&str>, body: Option<Vec<u8>>, limit: Duration) -> Result<(u64, Vec<u8>), Failure> {
        let mut path = path.to_owned();
        if let Some(datacenter) = self.client.datacenter.as_ref().filter(|_| !path.contains("&dc=")) {
            path.push_str(&format!("&dc={}", escape(datacenter)));
        }
        let path = path.replace("?&", "?").trim_end_matches('?').to_owned();
        let outgoing = Outgoing {
            headers: self.headers(path.starts_with("/v1/health/"), cached, body.is_some())?,
            target: Target { path, ..self.client.target.clone() },
            // A registration that is made twice is one.
            safe: true,
            body: body.map(Into::into),
            method,
        };
        let gone = |why: String| Failure { gone: true, text: format!("{} \"{}\": {why}", verb(&outgoing.method), outgoing.target) };
        let exchange = async {
            let (response, sender) = http_core::send(&self.pool, &outgoing).await.map_err(|e| gone(e.to_string()))?;
            let status = response.status();
            let index = response.headers().get("x-consul-index").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
            let (body, whole) = http_core::read(response.into_body(), Some(LARGEST)).await.map_err(|e| gone(e.to_string()))?;
            if whole {
                self.pool.put(&outgoing.target, sender);
            }
            if status == http::StatusCode::OK {
                return Ok((index, body));
            }
            let words = String::from_utf8_lossy(&body).trim().to_owned();
            Err(Failure { gone: status.is_server_error(), text: format!("Unexpected response code: {} ({words})", status.as_u16()) })
        };
        timeout(limit, exchange).await.unwrap_or_else(|| Err(gone("context deadline exceeded".into())))
    }

    fn headers(&self, query: bool, cached: Option<&str>, body: bool) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut put = |name: header::HeaderName, value: &str| match HeaderValue::from_str(value) {
            Ok(value) => {
                headers.insert(name, value);
                Ok(())
            }
            Err(_) => Err(Failure { gone: false, text: format!("the value of {name} cannot be sent") }),
        };
        let token = self.query.token.as_ref().filter(|_| query).or(self.client.token.as_ref());
        if let Some(token) = token {
            put(header::HeaderName::from_static("x-consul-token"), token)?;
        }
        if let Some(credentials) = &self.client.target.credentials {
            put(header::AUTHORIZATION, credentials)?;
        }
        if let Some(cached) = cached.filter(|c| !c.is_empty()) {
            put(header::CACHE_CONTROL, cached)?;
        }
        if body {
            put(header::CONTENT_TYPE, "application/json")?;
        }
        Ok(headers)
    }
}

/// As Go writes methods in errors.
fn verb(method: &Method) -> &'static str {
    if *method == Method::PUT { "Put" } else { "Get" }
}
