//! Names to addresses, through the host's resolver. Literal addresses never reach it.

use std::io;
use std::net::IpAddr;
use wasip3::sockets::ip_name_lookup::{self, ErrorCode};
use wasip3::sockets::types::{IpAddress, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

/// All addresses of `host`, in the order in which to try them.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<IpSocketAddress>> {
    if let Ok(literal) = host.parse::<IpAddr>() {
        return Ok(vec![with_port(from_std(literal), port)]);
    }
    let found = ip_name_lookup::resolve_addresses(host.to_owned()).await.map_err(|e| lookup_error(host, &e))?;
    Ok(found.into_iter().map(|address| with_port(address, port)).collect())
}

fn lookup_error(host: &str, code: &ErrorCode) -> io::Error {
    let (kind, why) = match code {
        ErrorCode::AccessDenied => (io::ErrorKind::PermissionDenied, "the component has no grant for this name".to_owned()),
        ErrorCode::InvalidArgument => (io::ErrorKind::InvalidInput, "not a host name".to_owned()),
        ErrorCode::NameUnresolvable => (io::ErrorKind::NotFound, "no such host".to_owned()),
        ErrorCode::TemporaryResolverFailure => (io::ErrorKind::TimedOut, "temporary failure in name resolution".to_owned()),
        ErrorCode::PermanentResolverFailure => (io::ErrorKind::Other, "failure in name resolution".to_owned()),
        ErrorCode::Other(text) => (io::ErrorKind::Other, text.clone().unwrap_or_else(|| "failure in name resolution".to_owned())),
    };
    io::Error::new(kind, format!("lookup {host}: {why}"))
}

fn from_std(address: IpAddr) -> IpAddress {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            IpAddress::Ipv4((a, b, c, d))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            IpAddress::Ipv6((a, b, c, d, e, f, g, h))
        }
    }
}

fn with_port(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 }),
    }
}
