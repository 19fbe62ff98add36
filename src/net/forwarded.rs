//! The address of a client behind a reverse proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::peer::Peer;
use crate::config::TrustedProxy;

/// Returns the client: `peer`, unless that is a trusted proxy. Then it is the rightmost entry of
/// `X-Forwarded-For` that is no trusted proxy, because each proxy appends its peer, and entries further left are the
/// client's own claims. Reading ends at a malformed entry; the last valid one is then the address.
///
/// `lines` are the values of all `X-Forwarded-For` headers in their order.
pub(crate) fn client_address<'a>(
    peer: Peer,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[TrustedProxy],
) -> Peer {
    let is_trusted = |address| trusted.iter().any(|proxy| proxy.contains(address));
    let mut address = peer.ip().map(|ip| ip.to_canonical());
    let mut entries = lines
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b','));
    while is_trusted(address)
        && let Some(entry) = entries.next().and_then(parse_entry)
    {
        address = Some(entry);
    }
    peer.with_ip(address)
}

/// Parses an address with or without a port: some proxies append it.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let address = entry.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

/// Returns the address as which a client is counted: an IPv6 client has a whole /64, and the clients of Unix sockets are
/// one.
pub(crate) fn counted_address(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(match address?.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
        address => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted =
            ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|range| range.parse().expect(range));
        let lines = lines.iter().map(|line| line.as_bytes());
        let peer = Peer::Tcp(SocketAddr::new(peer.parse().expect(peer), 1));
        let client = client_address(peer, lines, &trusted).ip();
        client.expect("TCP has addresses").to_string()
    }

    #[test]
    fn a_unix_socket_is_a_proxy_if_it_is_trusted() {
        for (trusted, expected) in [("unix", "203.0.113.7"), ("0.0.0.0/0", "unix")] {
            let trusted = [trusted.parse().expect(trusted)];
            let lines = [&b"198.51.100.1, 203.0.113.7"[..]].into_iter();
            let client = client_address(Peer::Unix(None), lines, &trusted);
            assert_eq!(client.to_string(), expected);
        }
    }

    #[test]
    fn the_rightmost_untrusted_entry_is_the_client() {
        for (lines, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, 10.1.2.3 , fd00::1"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7,10.1.2.3"], "203.0.113.7"),
            (&["203.0.113.7", "10.1.2.3"], "203.0.113.7"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["203.0.113.7:443"], "203.0.113.7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(client("127.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(client("::ffff:10.9.9.9", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_entry_ends_the_search() {
        for (lines, expected) in [
            (&[][..], "127.0.0.1"),
            (&[""], "127.0.0.1"),
            (&["203.0.113.7, unknown"], "127.0.0.1"),
            (&["203.0.113.7, \u{e9}, 10.1.2.3"], "10.1.2.3"),
            (&["203.0.113.7,"], "127.0.0.1"),
            (&["10.1.2.3"], "10.1.2.3"),
        ] {
            assert_eq!(client("127.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn other_peers_are_not_believed() {
        assert_eq!(client("192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(client("127.0.0.2", &["203.0.113.7"]), "127.0.0.2");
    }
}
