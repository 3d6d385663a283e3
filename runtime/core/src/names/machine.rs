//! The address that other machines reach this one at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses that no machine has; nothing is sent to them.
const NOWHERE: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80), SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 80)];

/// Where a datagram out of this machine would come from; without a route the best address of an interface; on a machine that has nothing
/// but itself, the loopback.
pub fn address() -> IpAddr {
    let route = NOWHERE.iter().find_map(|to| source(*to).filter(|ip| !is_translation(ip)));
    route.or_else(best).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn source(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}

fn best() -> Option<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.iter()
        .map(|i| i.ip())
        .filter(|ip| !is_translation(ip))
        .filter_map(|ip| Some((rank(&ip)?, ip)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, ip)| ip)
}

/// Addresses that stand for an IPv4 network behind IPv6 only; nobody reaches them.
fn is_translation(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets().starts_with(&[192, 0, 0]) && v4.octets().last().is_some_and(|last| *last < 8))
}

/// Public addresses before private ones, those before the ones of a link. None: of no use to others.
fn rank(ip: &IpAddr) -> Option<u8> {
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    Some(match ip {
        IpAddr::V4(v4) if v4.is_link_local() => 4,
        IpAddr::V4(v4) if v4.is_private() || (v4.octets().first() == Some(&100) && v4.octets().get(1).is_some_and(|b| b & 0xc0 == 64)) => 2,
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if v6.segments().first().is_some_and(|s| s & 0xffc0 == 0xfe80) => 5,
        IpAddr::V6(v6) if v6.segments().first().is_some_and(|s| s & 0xfe00 == 0xfc00) => 3,
        IpAddr::V6(_) => 1,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_an_order() {
        let ranks: Vec<_> = ["8.8.8.8", "2600::1", "10.0.0.1", "100.64.0.1", "fd00::1", "169.254.1.1", "fe80::1", "127.0.0.1", "::1"]
            .iter()
            .map(|text| rank(&text.parse().unwrap()))
            .collect();
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(2), Some(3), Some(4), Some(5), None, None]);
        assert!(is_translation(&"192.0.0.4".parse().unwrap()) && !is_translation(&"192.0.0.9".parse().unwrap()));
    }
}
