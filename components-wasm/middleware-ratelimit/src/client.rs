//! Who the client of a request is: the address that the bucket belongs to. No input is refused; what is no address names a client as it stands.

use std::net::Ipv6Addr;

/// What is counted when nothing tells where a request comes from.
pub const UNKNOWN: &str = "0.0.0.0";

/// The address by which a client is counted; none when nothing names one. `peer` is `host:port`.
pub fn client(forwarded_for: Option<&str>, real_ip: Option<&str>, peer: Option<&str>) -> Option<String> {
    let address = match (forwarded_for, real_ip) {
        (Some(list), _) if !list.is_empty() => list.rsplit(',').next().unwrap_or_default().trim(),
        (_, Some(address)) if !address.is_empty() => address,
        _ => host(peer.unwrap_or_default()),
    };
    (!address.is_empty()).then(|| canonical(address))
}

/// The host of `host:port` or `[host]:port`; the text itself when there is no port.
fn host(peer: &str) -> &str {
    if let Some((host, _)) = peer.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    match peer.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => peer,
    }
}

/// IPv6 clients choose the lower half of their address freely, so only the /64 counts.
fn canonical(address: &str) -> String {
    let v6_first = address.find([':', '.']).is_some_and(|at| address.get(at..=at) == Some(":"));
    match address.parse::<Ipv6Addr>() {
        Ok(ip) if v6_first => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).to_string(),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn the_headers_come_first() {
        assert_eq!(client(Some("1.1.1.1, 2.2.2.2"), Some("3.3.3.3"), Some("4.4.4.4:80")).as_deref(), Some("2.2.2.2"));
        assert_eq!(client(None, Some("3.3.3.3"), Some("4.4.4.4:80")).as_deref(), Some("3.3.3.3"));
        assert_eq!(client(Some(""), None, Some("4.4.4.4:80")).as_deref(), Some("4.4.4.4"));
        assert_eq!(client(None, None, Some("4.4.4.4")).as_deref(), Some("4.4.4.4"));
        assert_eq!(client(None, None, None), None);
        assert_eq!(client(Some("1.1.1.1,"), None, Some("4.4.4.4:80")), None);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(client(None, None, Some("[2001:db8:1:2:3:4:5:6]:80")).as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(client(Some("2001:db8:1:2:9::1"), None, None).as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(client(Some("fe80::1%eth0"), None, None).as_deref(), Some("fe80::1%eth0"));
        assert_eq!(client(None, None, Some("::1")).as_deref(), Some("::"));
    }
}
