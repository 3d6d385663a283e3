//! JetStream's API: JSON over requests.

use crate::client::Client;
use proa_sdk::pubsub::Error;
use proa_sdk::time;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long a request may take, reconnects included.
pub const LIMIT: Duration = Duration::from_secs(5);

#[derive(Deserialize, Debug)]
pub struct Failure {
    #[serde(default)]
    pub code: u32,
    #[serde(default)]
    pub description: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Option<Failure>,
}

impl Failure {
    /// The server does not know the consumer.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    pub fn into_error(self) -> Error {
        let text = format!("nats: {}", self.description);
        match self.code {
            404 => Error::NotFound(text),
            503 => Error::Unavailable(text),
            400 => Error::InvalidArgument(text),
            _ => Error::Other(text),
        }
    }
}

/// What the API answered: a result, or the server's own refusal.
pub type Outcome<T> = Result<T, Failure>;

/// One request, again on the next connection when one is lost: use it for what does no harm twice.
pub async fn call<T: DeserializeOwned>(client: &Client, subject: &str, headers: Option<&str>, payload: &[u8]) -> Result<Outcome<T>, Error> {
    let deadline = Instant::now() + LIMIT;
    let mut unheard = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(reply) = time::timeout(left, client.request(subject, headers, payload)).await else {
            return Err(Error::Unavailable("nats: timeout".into()));
        };
        let Ok(reply) = reply else { continue };
        if reply.status() == Some(503) {
            // Right after its start the server has no API yet.
            unheard += 1;
            if unheard > 10 || left < Duration::from_millis(250) {
                return Err(Error::Unavailable("nats: no response from stream".into()));
            }
            time::sleep(Duration::from_millis(250)).await;
            continue;
        }
        let malformed = |e: serde_json::Error| Error::Other(format!("nats: malformed answer: {e}"));
        let envelope: Envelope = serde_json::from_slice(&reply.payload).map_err(malformed)?;
        return match envelope.error {
            Some(failure) => Ok(Err(failure)),
            None => serde_json::from_slice(&reply.payload).map(Ok).map_err(malformed),
        };
    }
}

async fn api<T: DeserializeOwned>(client: &Client, verb: &str, body: &Value) -> Result<Outcome<T>, Error> {
    let subject = format!("{}{verb}", client.settings().api);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    call(client, &subject, None, &body).await
}

#[derive(Deserialize)]
struct Names {
    streams: Option<Vec<String>>,
}

/// The stream that takes a subject.
pub async fn stream_of(client: &Client, subject: &str) -> Result<String, Error> {
    let names: Names = api(client, "STREAM.NAMES", &json!({ "subject": subject })).await?.map_err(Failure::into_error)?;
    let name = names.streams.and_then(|s| s.into_iter().next());
    name.ok_or_else(|| Error::NotFound("nats: no stream matches subject".into()))
}

/// Where a consumer is.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Delivered {
    pub stream_seq: u64,
}

#[derive(Deserialize)]
pub struct Consumer {
    pub name: String,
    /// As the server has it.
    #[serde(default)]
    pub config: Map<String, Value>,
    #[serde(default)]
    pub push_bound: bool,
    #[serde(default)]
    pub delivered: Delivered,
}

impl Consumer {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

pub async fn consumer(client: &Client, stream: &str, name: &str) -> Result<Outcome<Consumer>, Error> {
    api(client, &format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null).await
}

pub async fn create_consumer(client: &Client, stream: &str, config: Value) -> Result<Outcome<Consumer>, Error> {
    let verb = match config.get("durable_name").and_then(Value::as_str) {
        Some(name) => format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"),
        None => format!("CONSUMER.CREATE.{stream}"),
    };
    api(client, &verb, &json!({ "stream_name": stream, "config": config })).await
}

pub async fn delete_consumer(client: &Client, stream: &str, name: &str) -> Result<Outcome<Value>, Error> {
    api(client, &format!("CONSUMER.DELETE.{stream}.{name}"), &Value::Null).await
}
