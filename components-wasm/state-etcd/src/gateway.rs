//! The connection to the cluster: one call is one POST to the JSON gateway of a member, within five seconds in all.
//!
//! The member that answered last is asked first. While no connection can be had the members are tried in turn until the deadline; a call that was
//! sent and lost goes to the next one only if it may be carried out twice. At most 64 calls are under way, more wait for their turn.

use crate::settings::Settings;
use crate::wire::Refusal;
use http::{HeaderMap, HeaderValue, Method, header};
use http_core::{Outgoing, Pool, Target};
use proa_sdk::state::Error;
use proa_sdk::time::{sleep, timeout};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tokio::sync::Semaphore;

const DEADLINE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const MOST_CALLS: usize = 64;

/// A failed call. The texts are those of the network or of the server.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// No connection, so that nothing was sent.
    #[error("{0}")]
    Unreached(String),
    /// The answer never came.
    #[error("{0}")]
    Lost(String),
    /// With the last obstacle, if there was one.
    #[error("context deadline exceeded{0}")]
    Deadline(String),
    /// gRPC's code and the server's own words, for example `etcdserver: no leader`.
    #[error("{1}")]
    Refused(u32, String),
    #[error("unexpected answer from etcd: {0}")]
    Answer(String),
}

/// Codes of gRPC: the deadline was exceeded, the server is unavailable.
const TRANSIENT: [u32; 2] = [4, 14];

impl Failure {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreached(_) | Self::Lost(_) | Self::Deadline(_) => true,
            Self::Refused(code, _) => TRANSIENT.contains(code),
            Self::Answer(_) => false,
        }
    }

    /// As an error of the store, after words that say what failed.
    pub fn of(self, what: &str) -> Error {
        let text = if what.is_empty() { self.to_string() } else { format!("{what}: {self}") };
        if self.is_transient() { Error::Unavailable(text) } else { Error::Other(text) }
    }
}

pub struct Gateway {
    endpoints: Vec<Target>,
    pool: Pool,
    current: Cell<usize>,
    permits: Semaphore,
}

impl Gateway {
    pub fn new(settings: &Settings) -> Self {
        let share = DEADLINE / u32::try_from(settings.endpoints.len()).unwrap_or(u32::MAX).max(1);
        let pool = Pool::new(settings.tls.clone()).dial_within(share);
        Self { endpoints: settings.endpoints.clone(), pool, current: Cell::new(0), permits: Semaphore::new(MOST_CALLS) }
    }

    pub fn close(&self) {
        self.pool.clear();
    }

    /// The members, for an error's text.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.endpoints.iter().map(|e| e.authority.as_str()).collect();
        format!("[{}]", names.join(" "))
    }

    /// Posts `question` to `path`. `safe`: may be carried out twice.
    pub async fn call<A: DeserializeOwned>(&self, path: &str, question: &impl Serialize, safe: bool) -> Result<A, Failure> {
        let body = serde_json::to_vec(question).map_err(|e| Failure::Answer(e.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let Some(target) = self.endpoints.first().cloned() else { return Err(Failure::Unreached("no endpoint".into())) };
        let outgoing = Outgoing { method: Method::POST, target, headers, body: Some(body.into()), safe };
        let obstacle = RefCell::new(None);
        let answer = match timeout(DEADLINE, self.persist(outgoing, path, &obstacle)).await {
            Some(answer) => answer?,
            None => return Err(Failure::Deadline(obstacle.take().map(|f: Failure| format!(": {f}")).unwrap_or_default())),
        };
        serde_json::from_slice(&answer).map_err(|e| Failure::Answer(e.to_string()))
    }

    async fn persist(&self, mut outgoing: Outgoing, path: &str, obstacle: &RefCell<Option<Failure>>) -> Result<Vec<u8>, Failure> {
        let _permit = self.permits.acquire().await.map_err(|e| Failure::Unreached(e.to_string()))?;
        let mut pause = PAUSE;
        loop {
            let first = self.current.get();
            for index in (0..self.endpoints.len()).map(|i| (first + i) % self.endpoints.len()) {
                let Some(endpoint) = self.endpoints.get(index) else { continue };
                outgoing.target = Target { path: path.to_owned(), ..endpoint.clone() };
                match self.once(&outgoing).await {
                    Ok(answer) => {
                        self.current.set(index);
                        return Ok(answer);
                    }
                    Err(failure) if matches!(failure, Failure::Unreached(_)) || outgoing.safe && failure.is_transient() => {
                        *obstacle.borrow_mut() = Some(failure);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn once(&self, outgoing: &Outgoing) -> Result<Vec<u8>, Failure> {
        let failure = |error: http_core::Error| match error {
            http_core::Error::Dial(text) => Failure::Unreached(text),
            http_core::Error::Broken(text) => Failure::Lost(text),
            http_core::Error::Invalid(text) => Failure::Answer(text),
        };
        let (response, sender) = http_core::send(&self.pool, outgoing).await.map_err(failure)?;
        let status = response.status();
        let (body, _) = http_core::read(response.into_body(), None).await.map_err(failure)?;
        self.pool.put(&outgoing.target, sender);
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(r) if !r.message.is_empty() || !r.error.is_empty() => {
                Err(Failure::Refused(r.code, if r.message.is_empty() { r.error } else { r.message }))
            }
            _ => Err(Failure::Answer(format!("status {status}"))),
        }
    }
}
