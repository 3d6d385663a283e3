//! `host:port` texts, with IPv6 addresses in brackets.

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; the port is `default_port` when the text has none. `None`: not of that form.
pub fn split_host_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        let port = match tail.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if tail.is_empty() => default_port,
            None => return None,
        };
        return (!host.is_empty()).then(|| (host.to_owned(), port));
    }
    match text.split_once(':') {
        // More than one colon and no brackets: a bare IPv6 address.
        Some((_, rest)) if rest.contains(':') => Some((text.to_owned(), default_port)),
        Some((host, port)) if !host.is_empty() => Some((host.to_owned(), port.parse().ok()?)),
        Some(_) => None,
        None => (!text.is_empty()).then(|| (text.to_owned(), default_port)),
    }
}

/// The inverse of [`split_host_port`].
pub fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let some = |h: &str, p| Some((h.to_owned(), p));
        assert_eq!(split_host_port("a:1", 9), some("a", 1));
        assert_eq!(split_host_port(" a ", 9), some("a", 9));
        assert_eq!(split_host_port("[::1]:7", 9), some("::1", 7));
        assert_eq!(split_host_port("[::1]", 9), some("::1", 9));
        assert_eq!(split_host_port("::1", 9), some("::1", 9));
        assert_eq!(split_host_port("a:x", 9), None);
        assert_eq!(split_host_port("", 9), None);
        assert_eq!(split_host_port(":1", 9), None);
        assert_eq!(join_host_port("::1", 7), "[::1]:7");
    }
}
