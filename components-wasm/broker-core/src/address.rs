//! A server written as a URL: `scheme://user:password@host:port/path`.

use proa_sdk::net::split_host_port;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: String,
    pub port: u16,
    /// What follows the slash, decoded; none without a slash.
    pub path: Option<String>,
    /// What follows the question mark, as it is.
    pub query: String,
}

impl Address {
    /// `port_of` tells the port of a scheme, and none for a scheme that is not known. The error never shows the password.
    pub fn parse(text: &str, port_of: impl Fn(&str) -> Option<u16>) -> Result<Self, String> {
        let (scheme, rest) = text.trim().split_once("://").ok_or("no scheme such as amqp:// in front")?;
        let scheme = scheme.to_lowercase();
        let default_port = port_of(&scheme).ok_or_else(|| format!("{scheme}:// is not known here"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (credentials, place) = authority.rsplit_once('@').map_or((None, authority), |(c, p)| (Some(c), p));
        let (host, port) = split_host_port(place, default_port).ok_or("the part behind the scheme is not host:port")?;
        let (user, password) = match credentials {
            Some(text) => match text.split_once(':') {
                Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
                None => (Some(decode(text)?), None),
            },
            None => (None, None),
        };
        Ok(Self { scheme, user, password, host, port, path: path.map(decode).transpose()?, query: query.to_owned() })
    }

    /// For messages: without user and password.
    pub fn shown(&self) -> String {
        format!("{}://{}", self.scheme, proa_sdk::net::join_host_port(&self.host, self.port))
    }

    /// A value in the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => return Err("an escape with % is not followed by two hexadecimal digits".into()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8 once decoded".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, |scheme| match scheme {
            "amqp" => Some(5672),
            "amqps" => Some(5671),
            _ => None,
        })
    }

    #[test]
    fn every_part_is_found() {
        let address = parse("AMQP://us%40er:p%3Aw@[::1]:7/%2f?heartbeat=5").unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("us@er"), Some("p:w")));
        assert_eq!((address.host.as_str(), address.port, address.path.as_deref()), ("::1", 7, Some("/")));
        assert_eq!(address.parameter("heartbeat"), Some("5"));
        assert_eq!(address.shown(), "amqp://[::1]:7");
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let address = parse("amqps://host").unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((address.user, address.port, address.path), (None, 5671, None));
    }

    #[test]
    fn errors_do_not_show_secrets() {
        for wrong in ["host:1", "http://u:secret@h", "amqp://u:secret@h:x", "amqp://u:secret%2@h"] {
            let error = parse(wrong).expect_err("refused");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
