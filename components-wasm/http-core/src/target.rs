//! URLs: parsing, quoting what is not allowed to stand as it is, and resolving a `Location`.

use crate::Error;
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use proa_sdk::net::{join_host_port, split_host_port};
use std::fmt::{self, Write};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub secure: bool,
    pub host: String,
    pub port: u16,
    /// The authority as written, without credentials: what the `Host` header says.
    pub authority: String,
    /// Path and query; begins with `/`.
    pub path: String,
    /// `Basic …` where the URL carries a user.
    pub credentials: Option<String>,
}

impl Target {
    /// An absolute `http` or `https` URL; its fragment is dropped.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Invalid(format!("parse {url:?}: {why}")));
        let Some((scheme, rest)) = url.trim().split_once("://") else { return wrong("missing protocol scheme") };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(Error::Invalid(format!("unsupported protocol scheme {other:?}"))),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let Some((host, port)) = split_host_port(authority, if secure { 443 } else { 80 }) else { return wrong("no host in request URL") };
        let path = if path.starts_with('/') { quoted(path) } else { format!("/{}", quoted(path)) };
        let credentials = user.map(|u| format!("Basic {}", BASE64.encode(unquoted(if u.contains(':') { u.to_owned() } else { format!("{u}:") }))));
        Ok(Self { secure, host, port, authority: authority.to_owned(), path, credentials })
    }

    /// The target of a `Location` that was answered to a request for this one.
    pub fn resolve(&self, location: &str) -> Result<Self, Error> {
        let location = location.trim();
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        let scheme = if self.secure { "https" } else { "http" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let path = self.path.split('?').next().unwrap_or("/");
        let joined = match location.chars().next() {
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            None | Some('#') => self.path.clone(),
            Some(_) => {
                let folder = path.rfind('/').map_or("/", |at| path.get(..=at).unwrap_or("/"));
                format!("{folder}{location}")
            }
        };
        let mut target = Self::parse(&format!("{scheme}://{}{}", self.authority, without_dots(&joined)))?;
        target.credentials.clone_from(&self.credentials);
        Ok(target)
    }

    /// The same server.
    pub fn same_site(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.authority.is_empty() { join_host_port(&self.host, self.port) } else { self.authority.clone() };
        write!(f, "{}://{host}{}", if self.secure { "https" } else { "http" }, self.path)
    }
}

/// Percent-encodes what may not stand in a request line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn unquoted(text: String) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    out
}

fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    let mut parts: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next().unwrap_or_default();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = format!("/{}", parts.join("/"));
    if matches!(last, "." | "..") && !out.ends_with('/') {
        out.push('/');
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let t = Target::parse("http://us%20er:p@Host:81/a b?x=\u{e9}#f").unwrap();
        assert_eq!((t.host.as_str(), t.port, t.path.as_str()), ("Host", 81, "/a%20b?x=%C3%A9"));
        assert_eq!(t.credentials.as_deref(), Some("Basic dXMgZXI6cA=="));
        assert_eq!(Target::parse("https://h").unwrap().to_string(), "https://h/");
        assert_eq!(Target::parse("https://[::1]?q").unwrap().path, "/?q");
        assert!(Target::parse("ftp://h").is_err());
        assert!(Target::parse("h/x").is_err());
    }

    #[test]
    fn resolves() {
        let from = Target::parse("http://h:1/a/b?c").unwrap();
        let to = |l: &str| from.resolve(l).unwrap().to_string();
        assert_eq!(to("x"), "http://h:1/a/x");
        assert_eq!(to("../x/./y?z=../"), "http://h:1/x/y?z=../");
        assert_eq!(to("/x"), "http://h:1/x");
        assert_eq!(to("//o/x"), "http://o/x");
        assert_eq!(to("https://o"), "https://o/");
        assert_eq!(to("?d"), "http://h:1/a/b?d");
    }
}
