//! A small HTTP/1.1 client for talking to a sidecar.
//!
//! One pooled client per [`Http`]; every request has a deadline of 30 seconds. A transport failure panics with the request
//! line: in a test the other side always has to answer. Use [`Request::try_send`] where a refusal is the expected outcome.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// A client bound to one base address, with headers that go along with every request.
#[derive(Clone)]
pub struct Http {
    base: String,
    headers: Vec<(String, String)>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A request under construction.
pub struct Request {
    http: Http,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Http {
    /// A client for `http://127.0.0.1:<port>`.
    pub fn to_port(port: u16) -> Self {
        Self { base: format!("http://127.0.0.1:{port}"), headers: Vec::new(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// The same client, sending one more header each time.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request { http: self.clone(), method: method.into(), path: path.into(), headers: self.headers.clone(), body: Bytes::new() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.request("PUT", path).json(body).send().await
    }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body and its content type.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends it and reads the whole answer; panics when the connection fails.
    pub async fn send(self) -> Reply {
        let line = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|failure| panic!("{line}: {failure}"))
    }

    /// Like [`Request::send`], with the connection's failure as text.
    pub async fn try_send(self) -> Result<Reply, String> {
        let mut request = http::Request::builder().method(self.method.as_str()).uri(format!("{}{}", self.http.base, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).map_err(|failure| failure.to_string())?;
        let exchange = async {
            let reply = self.http.client.request(request).await.map_err(|failure| format!("{failure:?}"))?;
            let (head, body) = reply.into_parts();
            let body = body.collect().await.map_err(|failure| failure.to_string())?.to_bytes();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(LIMIT, exchange).await.map_err(|_| format!("no answer within {LIMIT:?}"))?
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|failure| panic!("{failure} in {:?}", self.text()))
    }

    /// The header's text, or nothing.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Panics unless the status is `status`; gives itself back for further looks.
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "body: {}", self.text());
        self
    }
}
