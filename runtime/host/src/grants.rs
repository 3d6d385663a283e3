//! What one generation may reach: exactly what its configuration names, and what the resource lists on top.

use crate::manifest::{Field, GrantKind, Manifest, StaticGrant};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

/// A TCP endpoint. The host is a name or an address, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// `host:port`, `[v6]:port` or `host` with a default port.
    pub fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, tail) = rest.split_once(']')?;
            (host, tail.strip_prefix(':'))
        } else {
            match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            }
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default_port?,
        };
        (!host.is_empty()).then(|| Self { host: host.to_lowercase(), port })
    }

    /// The endpoint of a URL: of the web, or of one of the brokers whose address is written as one.
    pub fn of_url(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let port = match scheme.to_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            "amqp" => 5672,
            "amqps" => 5671,
            "mqtt" | "tcp" => 1883,
            "mqtts" | "ssl" | "tcps" => 8883,
            "nats" | "tls" => 4222,
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, a)| a);
        Self::parse(authority, Some(port))
    }
}

/// The grants of one generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    pub tcp: Vec<Endpoint>,
    /// TCP to any address: the backend tells where the others are.
    pub any_address: bool,
    pub files: Vec<PathBuf>,
    pub dirs: Vec<PathBuf>,
    /// Paths of databases; `:memory:` is always granted.
    pub databases: Vec<PathBuf>,
    pub environment: bool,
    /// Any name may be looked up.
    pub lookup: bool,
}

impl Grants {
    /// What `properties` imply under the schema of `manifest`, and `allow_hosts` (`host:port`, comma separated) adds.
    pub fn derive(manifest: &Manifest, properties: &[(String, String)], allow_hosts: Option<&str>) -> Result<Self, String> {
        let has = |grant| manifest.grants.contains(&grant);
        let mut grants = Self { environment: has(StaticGrant::Environment), lookup: has(StaticGrant::Lookup), ..Self::default() };
        for field in &manifest.metadata {
            let set: Vec<&str> = properties
                .iter()
                .filter(|(n, v)| manifest.field(n).is_some_and(|f| f.name == field.name) && !v.is_empty())
                .map(|(_, v)| v.as_str())
                .collect();
            let default = field.default.as_ref().and_then(|d| d.as_str()).filter(|_| set.is_empty());
            for value in set.into_iter().chain(default) {
                grants.add(field, value)?;
            }
        }
        for host in allow_hosts.unwrap_or_default().split(',').filter(|h| !h.trim().is_empty()) {
            let endpoint = Endpoint::parse(host, None).ok_or_else(|| format!("annotation proa.dev/allow-hosts: {host:?} is not host:port"))?;
            grants.tcp.push(endpoint);
        }
        Ok(grants)
    }

    fn add(&mut self, field: &Field, value: &str) -> Result<(), String> {
        match field.grant {
            Some(GrantKind::Tcp) => {
                for part in value.split(',').filter(|p| !p.trim().is_empty()) {
                    // A scheme before the address, and a slash after it, are common.
                    let address = part.split_once("://").map_or(part, |(_, rest)| rest).trim_end_matches('/');
                    let endpoint =
                        Endpoint::parse(address, field.default_port).ok_or_else(|| format!("metadata {}: {part:?} is not host:port", field.name))?;
                    self.tcp.push(endpoint);
                }
            }
            Some(GrantKind::Url) => {
                // A broker's field may list several servers; in the address of a web page a comma is one. The value may hold a password:
                // no message shows it.
                let separator = |c| c == ',' && !value.trim_start().starts_with("http");
                let unknown = || format!("metadata {}: not a URL of a known kind", field.name);
                let urls = value.split(separator).filter(|p| !p.trim().is_empty());
                let endpoints = urls.map(|url| Endpoint::of_url(url).ok_or_else(unknown)).collect::<Result<Vec<_>, _>>()?;
                if endpoints.is_empty() {
                    return Err(unknown());
                }
                self.tcp.extend(endpoints);
            }
            Some(GrantKind::File) if !value.trim_start().starts_with("-----BEGIN") => self.files.push(value.into()),
            Some(GrantKind::Dir) => self.dirs.push(value.into()),
            Some(GrantKind::Sqlite) => self.databases.extend(database_path(value)),
            Some(GrantKind::Discovery) => self.any_address |= !matches!(value.to_lowercase().as_str(), "false" | "no" | "0" | "off" | "node"),
            _ => {}
        }
        Ok(())
    }
}

/// The file of an SQLite path or `file:` connection string; none for a database in memory.
pub fn database_path(text: &str) -> Option<PathBuf> {
    let text = text.trim();
    let path = text.strip_prefix("file:").unwrap_or(text);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let memory = path.is_empty() || path == ":memory:" || query.split('&').any(|p| p == "mode=memory");
    (!memory).then(|| path.strip_prefix("//").unwrap_or(path).into())
}

/// Which addresses an instance may connect to: granted addresses, and those that granted names have resolved to.
#[derive(Debug, Default)]
pub struct Reach {
    endpoints: Vec<Endpoint>,
    any_address: bool,
    any_name: bool,
    resolved: Mutex<HashSet<SocketAddr>>,
}

impl Reach {
    pub fn new(endpoints: Vec<Endpoint>, any_address: bool) -> Self {
        Self { endpoints, any_address, any_name: any_address, resolved: Mutex::default() }
    }

    /// What the grants open.
    pub fn of(grants: &Grants) -> Self {
        Self { any_name: grants.any_address || grants.lookup, ..Self::new(grants.tcp.clone(), grants.any_address) }
    }

    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && !self.any_address
    }

    pub fn may_resolve(&self, name: &str) -> bool {
        self.any_name || self.endpoints.iter().any(|e| e.host.eq_ignore_ascii_case(name))
    }

    /// Remembers what a granted name stands for.
    pub fn learn(&self, name: &str, addresses: &[IpAddr]) {
        let Ok(mut resolved) = self.resolved.lock() else { return };
        // Addresses of a name that moves pile up slowly; a bound keeps a hostile resolver from filling memory.
        if resolved.len() > 4096 {
            resolved.clear();
        }
        for endpoint in self.endpoints.iter().filter(|e| e.host.eq_ignore_ascii_case(name)) {
            resolved.extend(addresses.iter().map(|ip| SocketAddr::new(*ip, endpoint.port)));
        }
    }

    pub fn may_connect(&self, address: SocketAddr) -> bool {
        let literal = |e: &Endpoint| e.port == address.port() && e.host.parse::<IpAddr>().is_ok_and(|ip| ip == address.ip());
        self.any_address || self.endpoints.iter().any(literal) || self.resolved.lock().is_ok_and(|r| r.contains(&address))
    }

    /// Names among the endpoints, which the guest's own resolver (WASI 0.2) is not asked about one by one.
    pub fn names(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|e| e.host.parse::<IpAddr>().is_err())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let e = |t, p| Endpoint::parse(t, p).map(|e| (e.host, e.port));
        assert_eq!(e("Redis:6379", None), Some(("redis".into(), 6379)));
        assert_eq!(e("redis", Some(6379)), Some(("redis".into(), 6379)));
        assert_eq!(e("redis", None), None);
        assert_eq!(e("[::1]:80", None), Some(("::1".into(), 80)));
        assert_eq!(e("host:port", None), None);
        assert_eq!(Endpoint::of_url("https://u:p@Example.com/x?y").map(|e| (e.host, e.port)), Some(("example.com".into(), 443)));
        assert_eq!(Endpoint::of_url("amqp://u:p@rabbit").map(|e| (e.host, e.port)), Some(("rabbit".into(), 5672)));
        assert_eq!(Endpoint::of_url("mqtts://m:1/x").map(|e| (e.host, e.port)), Some(("m".into(), 1)));
        assert_eq!(Endpoint::of_url("ftp://x"), None);
    }

    #[test]
    fn reach_is_what_was_granted() {
        let reach = Reach::new(vec![Endpoint { host: "db".into(), port: 5 }, Endpoint { host: "127.0.0.1".into(), port: 6 }], false);
        assert!(reach.may_connect("127.0.0.1:6".parse().unwrap()));
        assert!(!reach.may_connect("127.0.0.1:5".parse().unwrap()));
        reach.learn("DB", &["127.0.0.1".parse().unwrap()]);
        assert!(reach.may_connect("127.0.0.1:5".parse().unwrap()));
        reach.learn("other", &["10.0.0.1".parse().unwrap()]);
        assert!(!reach.may_connect("10.0.0.1:5".parse().unwrap()));
        assert!(!reach.may_resolve("other"));
        let lookup = Reach::of(&Grants { lookup: true, ..Grants::default() });
        assert!(lookup.may_resolve("other") && !lookup.may_connect("10.0.0.1:5".parse().unwrap()));
    }

    #[test]
    fn databases() {
        assert_eq!(database_path(":memory:"), None);
        assert_eq!(database_path("file::memory:?cache=shared"), None);
        assert_eq!(database_path("file:/a/b.db?_pragma=x"), Some("/a/b.db".into()));
        assert_eq!(database_path("data.db"), Some("data.db".into()));
    }
}
