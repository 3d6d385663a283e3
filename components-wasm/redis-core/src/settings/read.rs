//! Reading [`Settings`] from the resource's metadata. Each failure names the field.

use super::{Family, PubSubSettings, Sentinel, Settings, StateSettings};
use proa_sdk::net::{join_host_port, split_host_port, tls};
use proa_sdk::properties::{invalid, parse_duration};
use proa_sdk::{Config, InitError, Properties};
use std::time::Duration;

const PORT: u16 = 6379;
const MILLISECOND: Duration = Duration::from_millis(1);

/// What a duration field says.
enum Span {
    /// Missing or 0.
    Default,
    /// Negative: the mechanism is off.
    Off,
    Set(Duration),
}

/// A bare number counts milliseconds, a negative one turns the mechanism off, anything else is Go's notation.
fn span(properties: &Properties, name: &str) -> Result<Span, InitError> {
    let Some(text) = properties.get(name).map(str::trim) else { return Ok(Span::Default) };
    let duration = match text.parse::<i64>() {
        Ok(n) if n < 0 => return Ok(Span::Off),
        Ok(n) => Duration::from_millis(n.unsigned_abs()),
        Err(_) if text.starts_with('-') && parse_duration(&text.replacen('-', "", 1)).is_some() => return Ok(Span::Off),
        Err(_) => parse_duration(text).ok_or_else(|| invalid(name, format!("{text:?} is not a duration such as 500ms or 1m30s")))?,
    };
    Ok(if duration.is_zero() { Span::Default } else { Span::Set(duration) })
}

impl Span {
    fn or(self, default: Duration, off: Duration) -> Duration {
        match self {
            Self::Default => default,
            Self::Off => off,
            Self::Set(duration) => duration,
        }
    }

    fn limit(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Default => default,
            Self::Off => None,
            Self::Set(duration) => Some(duration),
        }
    }
}

fn owned(properties: &Properties, name: &str) -> Option<String> {
    properties.get(name).map(str::to_owned)
}

impl Settings {
    pub fn read(config: &Config, family: Family) -> Result<Self, InitError> {
        let p = Properties::from(config);
        if p.bool("useEntraID").or_else(|| p.bool("useAzureAD")).unwrap_or(false) {
            return Err(invalid(
                "useEntraID",
                "signing in with Microsoft Entra ID is not available in this component; use redisUsername and redisPassword",
            ));
        }
        let servers = servers(&p)?;
        let host = servers.iter().map(|(h, port)| join_host_port(h, *port)).collect::<Vec<_>>().join(",");
        let cluster = p.get("redisType").is_some_and(|t| t.trim().eq_ignore_ascii_case("cluster"));
        let read = span(&p, "readTimeout")?.limit(Some(Duration::from_secs(3)));
        // A reply is awaited for as long as either limit allows, for a command is written and answered on one connection.
        let command_timeout = match span(&p, "writeTimeout")? {
            Span::Set(write) => read.map(|r| r.max(write)),
            Span::Default | Span::Off => read,
        };
        let max_backoff = match family {
            Family::Configuration => Duration::from_secs(2),
            _ => Duration::from_millis(512),
        };
        let (min_backoff, max_backoff) = backoff(&p, family, max_backoff)?;
        let idle_timeout = match p.number::<u32>("minIdleConns")?.unwrap_or(0) {
            0 => span(&p, "idleTimeout")?.limit(None),
            _ => None,
        };
        pool_size(&p)?;
        Ok(Self {
            host,
            servers,
            username: owned(&p, "redisUsername"),
            password: owned(&p, "redisPassword"),
            db: if cluster { 0 } else { p.number("redisDB")?.unwrap_or(0) },
            cluster: cluster && !p.bool("failover").unwrap_or(false),
            sentinel: sentinel(&p)?,
            tls: connector(&p)?,
            max_retries: retries(&p, family)?,
            min_backoff,
            max_backoff,
            dial_timeout: span(&p, "dialTimeout")?.or(Duration::from_secs(5), Duration::from_secs(60)),
            command_timeout,
            pool_timeout: span(&p, "poolTimeout")?.or(read.unwrap_or(Duration::from_secs(3)) + Duration::from_secs(1), Duration::from_secs(60)),
            max_connection_age: span(&p, "maxConnAge")?.limit(None),
            idle_timeout,
            idle_check: span(&p, "idleCheckFrequency")?.or(Duration::from_secs(60), Duration::from_secs(60)),
            state: StateSettings { ttl_in_seconds: p.number("ttlInSeconds")?, query_indexes: owned(&p, "queryIndexes") },
            pubsub: pubsub(&p, config)?,
        })
    }
}

fn servers(p: &Properties) -> Result<Vec<(String, u16)>, InitError> {
    let text = p.require("redisHost")?;
    let port: Option<u16> = p.number("redisPort")?.filter(|n| *n != 0);
    let mut out = Vec::new();
    for part in text.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        // Asked twice with different defaults, the port tells whether the text itself had one.
        let own = match (split_host_port(part, 0), split_host_port(part, 1)) {
            (Some((_, a)), Some((_, b))) if a == b => Some(a),
            _ => None,
        };
        if let (Some(own), Some(port)) = (own, port)
            && own != port
        {
            return Err(invalid(
                "redisPort",
                format!(
                    "redis host {part:?} already contains port {own}, but redisPort is set to {port}; either remove the port from redisHost or remove the redisPort setting"
                ),
            ));
        }
        let server = split_host_port(part, port.unwrap_or(PORT)).ok_or_else(|| invalid("redisHost", format!("{part:?} is not host:port")))?;
        out.push(server);
    }
    if out.is_empty() { Err(invalid("redisHost", "names no server")) } else { Ok(out) }
}

fn sentinel(p: &Properties) -> Result<Option<Sentinel>, InitError> {
    if !p.bool("failover").unwrap_or(false) {
        return Ok(None);
    }
    let master = p.get("sentinelMasterName").ok_or_else(|| invalid("sentinelMasterName", "is required when failover is on"))?;
    Ok(Some(Sentinel { master: master.to_owned(), username: owned(p, "sentinelUsername"), password: owned(p, "sentinelPassword") }))
}

fn connector(p: &Properties) -> Result<Option<tls::Connector>, InitError> {
    if !p.bool("enableTLS").unwrap_or(false) {
        return Ok(None);
    }
    let bytes = |name| p.get(name).map(|v| v.as_bytes().to_vec());
    let (certificate, key) = match (bytes("clientCert"), bytes("clientKey")) {
        (Some(certificate), Some(key)) => (Some(certificate), Some(key)),
        _ => (None, None),
    };
    let options = tls::Options {
        client_certificate: certificate,
        client_key: key,
        insecure_skip_verify: p.bool("insecureSkipTLSVerify").unwrap_or(false),
        ..Default::default()
    };
    tls::Connector::new(&options).map(Some).map_err(|e| invalid("clientCert", e.to_string()))
}

fn retries(p: &Properties, family: Family) -> Result<u32, InitError> {
    let name = match family {
        Family::State | Family::Lock if p.get("redisMaxRetries").is_none() => "maxRetries",
        _ => "redisMaxRetries",
    };
    Ok(match p.number::<i32>(name)? {
        None | Some(0) => 3,
        Some(n) => u32::try_from(n).unwrap_or(0),
    })
}

fn backoff(p: &Properties, family: Family, longest: Duration) -> Result<(Duration, Duration), InitError> {
    let legacy = matches!(family, Family::State | Family::Lock);
    let shortest = if legacy { Duration::from_secs(2) } else { 8 * MILLISECOND };
    let mut min = span(p, "redisMinRetryInterval")?.or(shortest, Duration::ZERO);
    if legacy && p.get("redisMinRetryInterval").is_none() {
        // An old field whose number counts nanoseconds.
        if let Some(text) = p.get("maxRetryBackoff") {
            let nanos: i64 =
                text.trim().parse().map_err(|e| invalid("maxRetryBackoff", format!("redis store error: can't parse maxRetryBackoff field: {e}")))?;
            min = u64::try_from(nanos).map(Duration::from_nanos).unwrap_or(Duration::ZERO);
        }
    }
    let max = span(p, "redisMaxRetryInterval")?.or(longest, Duration::ZERO);
    Ok((min.min(max), max))
}

/// One connection does the work of a pool; the number is checked and otherwise without effect.
fn pool_size(p: &Properties) -> Result<(), InitError> {
    p.number::<u32>("poolSize").map(|_| ())
}

fn pubsub(p: &Properties, config: &Config) -> Result<PubSubSettings, InitError> {
    let plain = |name: &str, default: u64, unit: Duration| -> Result<Duration, InitError> {
        Ok(p.duration(name, unit)?.unwrap_or(Duration::from_secs(default)))
    };
    Ok(PubSubSettings {
        consumer_id: p.get("consumerID").unwrap_or(&config.app_id).to_owned(),
        processing_timeout: plain("processingTimeout", 60, MILLISECOND)?,
        redeliver_interval: plain("redeliverInterval", 15, MILLISECOND)?,
        queue_depth: p.number::<usize>("queueDepth")?.unwrap_or(100).max(1),
        concurrency: p.number::<usize>("concurrency")?.unwrap_or(10).max(1),
        max_len_approx: p.number::<u64>("maxLenApprox")?.filter(|n| *n > 0),
        stream_ttl: p.duration("streamTTL", Duration::from_secs(1))?.filter(|d| !d.is_zero()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proa_sdk::Property;

    fn settings(family: Family, entries: &[(&str, &str)]) -> Result<Settings, InitError> {
        let properties = entries.iter().map(|(n, v)| Property { name: (*n).into(), value: (*v).into() }).collect();
        let config = Config {
            name: "x".into(),
            component_type: "state.redis".into(),
            version: "v1".into(),
            app_id: "app".into(),
            namespace: "default".into(),
            properties,
        };
        Settings::read(&config, family)
    }

    #[test]
    fn defaults_differ_by_family() {
        let s = settings(Family::State, &[("redisHost", "a")]).ok().unwrap();
        assert_eq!((s.servers.clone(), s.max_retries, s.backoff(1)), (vec![("a".to_owned(), 6379)], 3, Duration::from_millis(512)));
        let s = settings(Family::PubSub, &[("redisHost", "a:1, b:2"), ("processingTimeout", "50"), ("readTimeout", "-1")]).ok().unwrap();
        assert_eq!((s.backoff(1), s.backoff(3), s.backoff(40)), (Duration::from_millis(8), Duration::from_millis(32), Duration::from_millis(512)));
        assert_eq!((s.pubsub.consumer_id.as_str(), s.pubsub.processing_timeout, s.command_timeout), ("app", Duration::from_millis(50), None));
        assert_eq!(s.servers.len(), 2);
    }

    #[test]
    fn contradictions_name_the_field() {
        let field = |entries| match settings(Family::State, entries) {
            Err(InitError::Property((name, _))) => name,
            _ => String::new(),
        };
        assert_eq!(field(&[]), "redisHost");
        assert_eq!(field(&[("redisHost", "a:1"), ("redisPort", "2")]), "redisPort");
        assert_eq!(field(&[("redisHost", "a"), ("failover", "true")]), "sentinelMasterName");
        assert_eq!(field(&[("redisHost", "a"), ("useEntraID", "true")]), "useEntraID");
        assert_eq!(field(&[("redisHost", "a"), ("dialTimeout", "soon")]), "dialTimeout");
        assert_eq!(field(&[("redisHost", "a"), ("redisDB", "x")]), "redisDB");
    }
}
