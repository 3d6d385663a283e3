//! The sockets of multicast DNS: one for each version of IP that the machine has, shared with every other responder on it.
//!
//! Messages go out on every interface that has an address, the loopback too, so that a machine without a network will do. What one interface
//! does not take is not an error: the other side asks again.

use super::super::LOG;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use tokio::net::UdpSocket;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
pub const PORT: u16 = 5353;

/// See the module's text.
pub struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// One address of each interface.
    addresses: Vec<Ipv4Addr>,
    /// The interfaces that have an IPv6 address.
    indices: Vec<u32>,
}

impl Sockets {
    /// # Errors
    /// Neither version of IP has a socket.
    pub fn open() -> io::Result<Self> {
        let (v4, v6) = (open(Domain::IPV4), open(Domain::IPV6));
        let (v4, v6) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(error),
            (v4, v6) => (v4.ok(), v6.ok()),
        };
        let mut sockets = Self { v4, v6, addresses: Vec::new(), indices: Vec::new() };
        sockets.join();
        Ok(sockets)
    }

    /// Takes part on every interface that has an address now.
    pub fn join(&mut self) {
        let all = if_addrs::get_if_addrs().unwrap_or_default();
        let (mut addresses, mut indices) = (Vec::new(), Vec::new());
        for interface in &all {
            match (interface.ip(), interface.index) {
                (IpAddr::V4(v4), _) => addresses.push(v4),
                (IpAddr::V6(_), Some(index)) if !indices.contains(&index) => indices.push(index),
                (IpAddr::V6(_), _) => {}
            }
        }
        if addresses.is_empty() && indices.is_empty() {
            addresses.push(Ipv4Addr::LOCALHOST);
        }
        if let Some(socket) = &self.v4 {
            for address in addresses.iter().filter(|a| !self.addresses.contains(a)) {
                // Two addresses of one interface are one membership, and the second attempt fails.
                let _ = SockRef::from(socket).join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Address(*address));
            }
        }
        if let Some(socket) = &self.v6 {
            for index in indices.iter().filter(|i| !self.indices.contains(i)) {
                let _ = socket.join_multicast_v6(&GROUP_V6, *index);
            }
        }
        (self.addresses, self.indices) = (addresses, indices);
    }

    /// The next datagram on either socket.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let socket = tokio::select! {
                socket = readable(self.v4.as_ref()) => socket?,
                socket = readable(self.v6.as_ref()) => socket?,
            };
            match socket.try_recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    /// To one who asked.
    pub async fn answer(&self, message: &[u8], to: SocketAddr) {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = socket
            && let Err(error) = socket.send_to(message, to).await
        {
            tracing::debug!(target: LOG, "mDNS to {to}: {error}");
        }
    }

    /// To everyone, on every interface.
    pub async fn say(&self, message: &[u8]) {
        if let Some(socket) = &self.v4 {
            let group = SocketAddr::V4(SocketAddrV4::new(GROUP_V4, PORT));
            for address in &self.addresses {
                let chosen = SockRef::from(socket).set_multicast_if_v4(address);
                send(socket, chosen, message, group, address).await;
            }
        }
        if let Some(socket) = &self.v6 {
            for index in &self.indices {
                let chosen = SockRef::from(socket).set_multicast_if_v6(*index);
                let group = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, *index));
                send(socket, chosen, message, group, index).await;
            }
        }
    }
}

async fn readable(socket: Option<&UdpSocket>) -> io::Result<&UdpSocket> {
    match socket {
        Some(socket) => socket.readable().await.map(|()| socket),
        None => std::future::pending().await,
    }
}

async fn send(socket: &UdpSocket, chosen: io::Result<()>, message: &[u8], group: SocketAddr, interface: impl std::fmt::Display) {
    if chosen.is_ok()
        && let Err(error) = socket.send_to(message, group).await
        // The loopback has no route for groups of IPv6.
        && error.kind() != io::ErrorKind::NetworkUnreachable
    {
        tracing::debug!(target: LOG, "mDNS over {interface}: {error}");
    }
}

fn open(domain: Domain) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "linux")))]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    let any: SocketAddr = if domain == Domain::IPV4 {
        socket.set_multicast_ttl_v4(255)?;
        socket.set_multicast_loop_v4(true)?;
        (Ipv4Addr::UNSPECIFIED, PORT).into()
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_hops_v6(255)?;
        socket.set_multicast_loop_v6(true)?;
        (Ipv6Addr::UNSPECIFIED, PORT).into()
    };
    socket.bind(&any.into())?;
    UdpSocket::from_std(socket.into())
}
