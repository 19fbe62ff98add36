//! The reverse proxies that are believed.

use std::net::IpAddr;
use std::str::FromStr;

use super::ConfigError;

/// A reverse proxy whose `X-Forwarded-For` is believed, or several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrustedProxy {
    /// The programs that connect to a Unix socket of the server, as `unix`.
    Unix,
    /// The proxies with these addresses.
    Addresses(AddressRange),
}

impl TrustedProxy {
    /// Returns whether a peer with this address is trusted. `None`: the peer has connected to a Unix socket.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (TrustedProxy::Unix, None) => true,
            (TrustedProxy::Addresses(range), Some(address)) => range.contains(address),
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = ConfigError;

    fn from_str(proxy: &str) -> Result<TrustedProxy, ConfigError> {
        match proxy {
            "unix" => Ok(TrustedProxy::Unix),
            range => Ok(TrustedProxy::Addresses(range.parse()?)),
        }
    }
}

/// A range of IP addresses, such as `10.0.0.0/8`. A range without `/BITS` is one address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AddressRange {
    address: IpAddr,
    bits: u32,
}

impl AddressRange {
    /// Returns whether the range contains an address. IPv4 addresses mapped to IPv6 are IPv4 addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing_bits = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits())
                .checked_shr(32 - self.bits)
                .unwrap_or(0)
                .into(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits())
                .checked_shr(128 - self.bits)
                .unwrap_or(0),
            _ => return false,
        };
        differing_bits == 0
    }
}

impl FromStr for AddressRange {
    type Err = ConfigError;

    fn from_str(range: &str) -> Result<AddressRange, ConfigError> {
        let invalid = || ConfigError("must be an address or a range, such as 10.0.0.0/8".into());
        let (address, bits) = match range.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (range, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(max), str::parse).map_err(|_| invalid())?;
        // Peers have no IPv4 addresses in the form of IPv6, so such a range would be no peer's.
        if bits > max || address.to_canonical() != address {
            return Err(invalid());
        }
        Ok(AddressRange { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_the_addresses_of_their_prefix() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3", "::ffff:10.1.2.3", "::1"),
            ("10.1.2.2/31", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let contains = |address: &str| {
                let range: AddressRange = range.parse().expect(range);
                range.contains(address.parse().expect(address))
            };
            assert!(contains(inside) && !contains(outside), "{range}");
        }
        for range in [
            "",
            "/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0/8",
            "::/",
            "localhost",
            "::ffff:10.1.2.3",
        ] {
            assert!(range.parse::<AddressRange>().is_err(), "{range}");
        }
    }
}
