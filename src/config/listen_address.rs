//! The addresses that a server listens on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq)]
pub enum ListenAddress {
    /// An address and a port of TCP.
    Tcp(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Returns whether a socket of this address leaves IPv4 to another one: by default, `[::]` takes the clients of IPv4,
    /// too, and no further socket can have its port.
    pub(crate) fn is_ipv6_only_among(&self, all: &[ListenAddress]) -> bool {
        let ListenAddress::Tcp(SocketAddr::V6(own)) = self else {
            return false;
        };
        all.iter().any(|other| {
            matches!(other, ListenAddress::Tcp(SocketAddr::V4(v4)) if v4.port() == own.port())
        })
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

/// Shows the address as the option `--listen` takes it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_alone_on_its_port_unless_ipv4_has_it_too() {
        let tcp = |address: &str| ListenAddress::Tcp(address.parse().expect(address));
        let unix = ListenAddress::Unix("[::]:80".into());
        let own = tcp("[::]:80");
        for (others, expected) in [
            (vec![own.clone()], false),
            (
                vec![own.clone(), tcp("[::1]:80"), tcp("0.0.0.0:81"), unix],
                false,
            ),
            (vec![tcp("0.0.0.0:80"), own.clone()], true),
            (vec![own.clone(), tcp("127.0.0.1:80")], true),
        ] {
            assert_eq!(own.is_ipv6_only_among(&others), expected, "{others:?}");
            assert!(!tcp("0.0.0.0:80").is_ipv6_only_among(&others));
        }
    }
}
