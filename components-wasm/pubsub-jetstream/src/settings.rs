//! The metadata of Dapr's component. Names, defaults and texts are Dapr's.

use broker_core::{Address, security};
use proa_sdk::net::tls::Options;
use proa_sdk::properties::{invalid, parse_duration};
use proa_sdk::{Config, InitError, Properties};
use serde_json::{Map, Value, json};
use std::time::Duration;

pub struct Settings {
    pub servers: Vec<Address>,
    pub name: String,
    /// The user's token and the seed of its key.
    pub jwt: Option<(String, String)>,
    pub token: Option<String>,
    pub tls: Options,
    pub stream: Option<String>,
    pub durable: Option<String>,
    pub queue_group: Option<String>,
    pub ack_wait: Option<Duration>,
    /// Whether messages are acknowledged at all.
    pub acks: bool,
    pub single: bool,
    /// Where the server's API is, with the dot at its end.
    pub api: String,
    /// What every consumer is made with, but for subject and names.
    pub consumer: Map<String, Value>,
}

fn nanos(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A PEM text, or the file that holds it.
fn file(properties: &Properties, name: &str) -> Result<Option<Vec<u8>>, InitError> {
    match properties.get(name) {
        None => Ok(None),
        Some(text) if text.trim_start().starts_with("-----BEGIN") => Ok(Some(text.as_bytes().to_vec())),
        Some(path) => proa_sdk::files::read(path).map(Some).map_err(|why| invalid(name, why)),
    }
}

fn duration(properties: &Properties, name: &str) -> Result<Option<Duration>, InitError> {
    Ok(properties.duration(name, Duration::from_secs(1))?.filter(|d| !d.is_zero()))
}

/// `1s,2s` or `[1s, 2s]`.
fn durations(properties: &Properties, name: &str) -> Result<Vec<Duration>, InitError> {
    let Some(text) = properties.get(name) else { return Ok(Vec::new()) };
    let parts = text.trim_matches(['[', ']', ' ']).split(',').map(|p| p.trim().trim_matches('"')).filter(|p| !p.is_empty());
    parts.map(|p| parse_duration(p).ok_or_else(|| invalid(name, format!("{p:?} is not a duration")))).collect()
}

fn pair<'a>(properties: &'a Properties, [first, second]: [&'a str; 2], missing: [&str; 2]) -> Result<Option<(&'a str, &'a str)>, InitError> {
    match (properties.get(first), properties.get(second)) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid(second, missing[1])),
        (None, Some(_)) => Err(invalid(first, missing[0])),
    }
}

impl Settings {
    pub fn read(config: &Config) -> Result<Self, InitError> {
        let p = Properties::from(config);
        let url = p.get("natsURL").ok_or_else(|| invalid("natsURL", "missing nats URL"))?;
        let port = |scheme: &str| matches!(scheme, "nats" | "tls").then_some(4222);
        let address = |part: &str| Address::parse(part, port).map_err(|e| invalid("natsURL", e));
        let servers = url.split(',').filter(|s| !s.trim().is_empty()).map(address).collect::<Result<_, _>>()?;
        let jwt = pair(&p, ["jwt", "seedKey"], ["missing jwt", "missing seed key"])?.map(|(a, b)| (a.to_owned(), b.to_owned()));
        pair(&p, ["tls_client_cert", "tls_client_key"], ["missing tls client cert", "missing tls client key"])?;
        let tls = Options { client_certificate: file(&p, "tls_client_cert")?, client_key: file(&p, "tls_client_key")?, ..Options::default() };
        security::connector(&tls)?;
        let api = match (p.get("apiPrefix"), p.get("domain")) {
            (Some(prefix), _) => format!("{}.", prefix.trim_end_matches('.')),
            (None, Some(domain)) => format!("$JS.{domain}.API."),
            (None, None) => "$JS.API.".to_owned(),
        };
        let text = |name: &str| p.get(name).map(str::to_owned);
        Ok(Self {
            servers,
            name: text("name").unwrap_or_else(|| "dapr.io - pubsub.jetstream".into()),
            // As in Dapr, one way of proving oneself is used: the first of jwt, certificate, token.
            token: text("token").filter(|_| jwt.is_none() && tls.client_certificate.is_none()),
            jwt,
            tls,
            stream: text("streamName"),
            durable: text("durableName"),
            queue_group: text("queueGroupName"),
            ack_wait: duration(&p, "ackWait")?,
            acks: p.get("ackPolicy") != Some("none"),
            single: !p.get("concurrency").is_some_and(|c| c.eq_ignore_ascii_case("parallel")),
            api,
            consumer: consumer(&p)?,
        })
    }
}

impl Settings {
    /// How often the server hands a message out at most.
    pub fn deliveries(&self) -> Option<u64> {
        self.consumer.get("max_deliver").and_then(Value::as_u64)
    }
}

fn policy(p: &Properties) -> Result<&'static str, InitError> {
    Ok(match p.get("deliverPolicy").unwrap_or("all") {
        "all" => "all",
        "last" => "last",
        "new" => "new",
        "sequence" => "by_start_sequence",
        "time" => "by_start_time",
        other => return Err(InitError::Other(format!("deliver policy {other} is not one of: all, last, new, sequence, time"))),
    })
}

fn consumer(p: &Properties) -> Result<Map<String, Value>, InitError> {
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    let number = |name: &str| Ok::<_, InitError>(p.number::<u64>(name)?.filter(|n| *n > 0).map(|n| json!(n)));
    let yes = |name: &str| p.bool(name).filter(|b| *b).map(|b| json!(b));
    set("deliver_policy", Some(json!(policy(p)?)));
    let ack = p.get("ackPolicy").filter(|a| matches!(*a, "all" | "none")).unwrap_or("explicit");
    set("ack_policy", Some(json!(ack)));
    set("replay_policy", Some(json!("instant")));
    set("opt_start_seq", number("startSequence")?);
    if let Some(seconds) = p.number::<i64>("startTime")? {
        let at = instant(seconds).ok_or_else(|| invalid("startTime", "is out of range"))?;
        set("opt_start_time", Some(json!(at)));
    }
    set("flow_control", yes("flowControl"));
    set("ack_wait", duration(p, "ackWait")?.map(nanos));
    set("max_deliver", p.number::<i64>("maxDeliver")?.filter(|n| *n != 0).map(|n| json!(n)));
    let steps = durations(p, "backOff")?;
    set("backoff", (!steps.is_empty()).then(|| steps.into_iter().map(nanos).collect()));
    set("max_ack_pending", p.number::<i64>("maxAckPending")?.filter(|n| *n != 0).map(|n| json!(n)));
    set("num_replicas", number("replicas")?);
    set("mem_storage", yes("memoryStorage"));
    set("rate_limit_bps", number("rateLimit")?);
    set("idle_heartbeat", duration(p, "heartbeat")?.map(nanos));
    Ok(config)
}

/// Seconds since 1970 as the server wants them.
fn instant(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|t| t.to_string())
}
