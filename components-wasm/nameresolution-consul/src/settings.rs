//! The configuration, read once. Files are read here, so that a new token or certificate counts from the next start on.

use crate::shape;
use http_core::Target;
use proa_sdk::net::{split_host_port, tls};
use proa_sdk::properties::{invalid, parse_duration};
use proa_sdk::{InitError, Properties};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::time::Duration;

const ADDRESS: &str = "127.0.0.1:8500";

/// How the agent is reached.
pub struct Client {
    /// Without a path.
    pub target: Target,
    pub tls: tls::Connector,
    pub token: Option<String>,
    pub datacenter: Option<String>,
    pub wait: Option<Duration>,
}

/// How services are looked up.
#[derive(Default)]
pub struct Query {
    pub token: Option<String>,
    /// Each with a `&` in front.
    pub parameters: String,
    /// The agent's cache may answer: what it is told then.
    pub cached: Option<String>,
    pub wait: Option<Duration>,
}

/// What this sidecar's registration is made of.
#[derive(Default)]
pub struct Registration {
    pub own: bool,
    pub advanced: Option<Map<String, Value>>,
    pub checks: Option<Value>,
    pub tags: Option<Value>,
    pub meta: Map<String, Value>,
    pub app_port: Option<u16>,
}

pub struct Settings {
    pub client: Client,
    pub query: Query,
    pub registration: Registration,
    pub deregister: bool,
    pub port_key: String,
    pub follow: bool,
}

impl Settings {
    pub fn read(p: &Properties) -> Result<Self, InitError> {
        Ok(Self {
            client: client(p)?,
            query: query(p)?,
            registration: registration(p)?,
            deregister: p.bool("selfDeregister").unwrap_or(false),
            port_key: p.get("daprPortMetaKey").unwrap_or("DAPR_PORT").to_owned(),
            follow: p.bool("useCache").unwrap_or(false),
        })
    }
}

fn owned(p: &Properties, name: &str) -> Option<String> {
    p.get(name).map(str::to_owned)
}

/// Go's notation, or nanoseconds.
fn duration(p: &Properties, name: &str) -> Result<Option<Duration>, InitError> {
    let Some(text) = p.get(name).map(str::trim) else { return Ok(None) };
    let found = text.parse().map(Duration::from_nanos).ok().or_else(|| parse_duration(text));
    match found {
        Some(found) => Ok((!found.is_zero()).then_some(found)),
        None => Err(invalid(name, format!("{text:?} is neither a duration such as 10s nor a number of nanoseconds"))),
    }
}

fn file(p: &Properties, name: &str) -> Result<Option<Vec<u8>>, InitError> {
    p.get(name).map(|path| proa_sdk::files::read(path).map_err(|why| invalid(name, why))).transpose()
}

fn client(p: &Properties) -> Result<Client, InitError> {
    let address = p.get("client.address").unwrap_or(ADDRESS).trim();
    let (scheme, address) = match address.split_once("://") {
        Some((scheme, rest)) => (scheme, rest.trim_end_matches('/')),
        None => (p.get("client.scheme").unwrap_or("http"), address),
    };
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        other => return Err(invalid("client.address", format!("{other}: only http and https reach an agent"))),
    };
    let (host, port) =
        split_host_port(address, if secure { 443 } else { 80 }).ok_or_else(|| invalid("client.address", format!("{address:?} is not host:port")))?;
    let credentials = match p.get("client.httpAuth.username") {
        Some(user) => {
            let url = format!("http://{}:{}@agent", escape(user), escape(p.get("client.httpAuth.password").unwrap_or_default()));
            Target::parse(&url).map_err(|e| InitError::Other(e.to_string()))?.credentials
        }
        None => None,
    };
    let token = match owned(p, "client.token") {
        Some(token) => Some(token),
        None => file(p, "client.tokenFile")?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|t| !t.is_empty()),
    };
    Ok(Client {
        target: Target { secure, host, port, authority: address.to_owned(), path: String::new(), credentials },
        tls: connector(p)?,
        token,
        datacenter: owned(p, "client.datacenter"),
        wait: duration(p, "client.waitTime")?,
    })
}

fn connector(p: &Properties) -> Result<tls::Connector, InitError> {
    let mut authorities = file(p, "client.tlsConfig.caFile")?;
    if let (None, Some(folder)) = (&authorities, p.get("client.tlsConfig.caPath")) {
        authorities = Some(folder_of(folder).map_err(|e| invalid("client.tlsConfig.caPath", e.to_string()))?);
    }
    let skip = p.bool("client.tlsConfig.insecureSkipVerify").unwrap_or(false);
    if skip {
        proa_sdk::log::info("hashicorp consul: you are using 'insecureSkipVerify' to skip server config verify which is unsafe!");
    }
    let options = tls::Options {
        root_ca: authorities,
        client_certificate: file(p, "client.tlsConfig.certFile")?,
        client_key: file(p, "client.tlsConfig.keyFile")?,
        insecure_skip_verify: skip,
        server_name: p.get("client.tlsConfig.address").and_then(|a| split_host_port(a, 0)).map(|(host, _)| host),
        alpn: vec![b"http/1.1".to_vec()],
        ..Default::default()
    };
    tls::Connector::new(&options).map_err(|e| invalid("client.tlsConfig", e.to_string()))
}

fn folder_of(folder: &str) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            all.extend(std::fs::read(path)?);
            all.push(b'\n');
        }
    }
    Ok(all)
}

fn query(p: &Properties) -> Result<Query, InitError> {
    let name = |field: &str| format!("queryOptions.{field}");
    let flag = |field: &str| p.bool(&name(field)).unwrap_or(false);
    let mut out = Query { token: owned(p, &name("token")), wait: duration(p, &name("waitTime"))?, ..Query::default() };
    let mut add = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = write!(out.parameters, "&{name}");
        if !value.is_empty() {
            let _ = write!(out.parameters, "={}", escape(value));
        }
    };
    for (field, parameter) in [("datacenter", "dc"), ("near", "near"), ("filter", "filter"), ("relayFactor", "relay-factor")] {
        if let Some(value) = p.get(&name(field)).filter(|v| *v != "0") {
            add(parameter, value);
        }
    }
    for (field, parameter, value) in
        [("allowStale", "stale", ""), ("requireConsistent", "consistent", ""), ("localOnly", "local-only", "true"), ("connect", "connect", "true")]
    {
        if flag(field) {
            add(parameter, value);
        }
    }
    if let Some(Value::Object(meta)) = json(p, &name("nodeMeta"), &shape::META)? {
        for (key, value) in meta {
            add("node-meta", &format!("{key}:{}", value.as_str().unwrap_or_default()));
        }
    }
    let given = p.names().any(|n| n.starts_with("queryoptions."));
    if (flag("useCache") || !given) && !flag("requireConsistent") {
        let seconds = |limit: Option<Duration>, name: &str| limit.map(|l| format!("{name}={:.0}", l.as_secs_f64()));
        let limits = [seconds(duration(p, &name("maxAge"))?, "max-age"), seconds(duration(p, &name("staleIfError"))?, "stale-if-error")];
        out.cached = Some(limits.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    Ok(out)
}

fn json(p: &Properties, name: &str, shape: &shape::Shape) -> Result<Option<Value>, InitError> {
    match p.get(name) {
        Some(text) => shape::read(text, shape, name).map_err(InitError::Other),
        None => Ok(None),
    }
}

fn registration(p: &Properties) -> Result<Registration, InitError> {
    let object = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let advanced = p.get("advancedRegistration").filter(|text| text.trim() != "null");
    Ok(Registration {
        own: p.bool("selfRegister").unwrap_or(false),
        advanced: match advanced {
            Some(_) => Some(object(json(p, "advancedRegistration", &shape::REGISTRATION)?)),
            None => None,
        },
        checks: json(p, "checks", &shape::CHECKS)?,
        tags: json(p, "tags", &shape::TAGS)?,
        meta: object(json(p, "meta", &shape::META)?),
        app_port: p.number("APP_PORT")?,
    })
}

/// Percent-encodes everything but letters, digits and the four marks that are safe anywhere.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
