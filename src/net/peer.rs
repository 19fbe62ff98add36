//! The other end of a client's connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The client's end of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peer {
    /// An address of TCP. Behind a proxy, the port is that of the proxy's connection, because the client's own is not known.
    Tcp(SocketAddr),
    /// A program that has connected to a Unix socket, or the client of one that is a proxy, with its address.
    Unix(Option<IpAddr>),
}

impl Peer {
    /// Returns the client's address, which the client of a Unix socket does not have.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(address) => Some(address.ip()),
            Peer::Unix(address) => *address,
        }
    }

    /// Returns the client with the address that a proxy has forwarded.
    pub(crate) fn with_ip(self, ip: Option<IpAddr>) -> Peer {
        match (self, ip) {
            (Peer::Tcp(address), Some(ip)) => Peer::Tcp(SocketAddr::new(ip, address.port())),
            (Peer::Unix(_), ip) => Peer::Unix(ip),
            (peer, None) => peer,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Tcp(address)
    }
}

/// Shows the address and the port, or what is known of them.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "{address}"),
            Peer::Unix(Some(address)) => write!(f, "{address}"),
            Peer::Unix(None) => f.write_str("unix"),
        }
    }
}
