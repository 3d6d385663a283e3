//! The metadata of Dapr's Redis components, read once at init. Names, units and defaults are Dapr's.

mod read;

use proa_sdk::net::tls;
use std::time::Duration;

/// Which kind of component asks: some defaults and fields differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    State,
    PubSub,
    Binding,
    Lock,
    Configuration,
}

/// How to find the master through sentinels.
#[derive(Clone)]
pub struct Sentinel {
    pub master: String,
    pub username: Option<String>,
    pub password: Option<String>,
}

/// The settings of one component.
#[derive(Clone)]
pub struct Settings {
    /// `redisHost` as it is shown in messages.
    pub host: String,
    /// Its parts: the server, the seeds of a cluster, or the sentinels.
    pub servers: Vec<(String, u16)>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub db: u32,
    pub cluster: bool,
    pub sentinel: Option<Sentinel>,
    pub tls: Option<tls::Connector>,
    pub max_retries: u32,
    pub min_backoff: Duration,
    pub max_backoff: Duration,
    pub dial_timeout: Duration,
    /// How long a command may take; none for no limit.
    pub command_timeout: Option<Duration>,
    /// How long a command may wait for a connection.
    pub pool_timeout: Duration,
    /// A connection is replaced when it is older.
    pub max_connection_age: Option<Duration>,
    /// A connection is closed when it was not used for so long; only when the configuration says so.
    pub idle_timeout: Option<Duration>,
    /// How often that is looked at.
    pub idle_check: Duration,
    pub state: StateSettings,
    pub pubsub: PubSubSettings,
}

/// What only `state.redis` reads.
#[derive(Clone, Default)]
pub struct StateSettings {
    /// For writes that name no TTL of their own.
    pub ttl_in_seconds: Option<i64>,
    pub query_indexes: Option<String>,
}

/// What only `pubsub.redis` reads.
#[derive(Clone)]
pub struct PubSubSettings {
    /// The consumer group.
    pub consumer_id: String,
    /// How long a message may be unsettled before it is handed out again; zero: never.
    pub processing_timeout: Duration,
    /// How often to look for such messages; zero: never.
    pub redeliver_interval: Duration,
    /// How many messages may wait here to be handed out.
    pub queue_depth: usize,
    /// How many messages may be handed out and unsettled, all subscriptions together.
    pub concurrency: usize,
    /// Trim streams to about so many entries.
    pub max_len_approx: Option<u64>,
    /// Trim entries that are older; without effect beside `max_len_approx`.
    pub stream_ttl: Option<Duration>,
}

impl Settings {
    /// The pause before the `attempt`th retry (from 1): doubles from the least to the most.
    pub fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.min_backoff.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1).min(16)).unwrap_or(u32::MAX));
        doubled.min(self.max_backoff)
    }
}
