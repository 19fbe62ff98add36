//! The limits of each address: open WebSockets, and how often one is opened. Plain logic without I/O.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::refusal::Refusal;
use crate::config::{JOIN_BURST, JOIN_INTERVAL};
use crate::net::forwarded::counted_address;

/// The smallest table that is searched for entries to drop.
const MIN_PRUNED_ENTRIES: usize = 256;

struct Entry {
    /// The number of open WebSockets, if it is limited.
    open: usize,
    /// The time at which the address has its whole burst again (GCRA: theoretical arrival time).
    next_conforming: Instant,
}

/// The table of addresses. Entries that limit nothing are dropped whenever the table has doubled, so that it has at most
/// two entries for each open WebSocket and for each join within the last [`JOIN_INTERVAL`].
pub(super) struct AddressLimits {
    max_open: Option<usize>,
    entries: HashMap<Option<IpAddr>, Entry>,
    /// The number of entries at which the table is searched for entries to drop.
    prune_at: usize,
}

impl AddressLimits {
    pub(super) fn new(max_open: Option<usize>) -> AddressLimits {
        AddressLimits {
            max_open,
            entries: HashMap::new(),
            prune_at: MIN_PRUNED_ENTRIES,
        }
    }

    /// Counts one more WebSocket of a client with this address. The loopback address and Unix sockets have no limit of joins.
    ///
    /// # Errors
    ///
    /// The limit that is reached. Nothing is counted then.
    pub(super) fn open(&mut self, address: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        if self.entries.len() >= self.prune_at {
            self.entries
                .retain(|_, entry| entry.open > 0 || entry.next_conforming > now);
            self.prune_at = MIN_PRUNED_ENTRIES.max(2 * self.entries.len());
        }
        let entry = self
            .entries
            .entry(counted_address(address))
            .or_insert(Entry {
                open: 0,
                next_conforming: now,
            });
        if let Some(max) = self.max_open.filter(|max| entry.open >= *max) {
            return Err(Refusal::AddressLimit(max));
        }
        if address.is_some_and(|ip| !ip.to_canonical().is_loopback()) {
            let next_conforming = entry.next_conforming.max(now) + JOIN_INTERVAL;
            if next_conforming > now + JOIN_BURST * JOIN_INTERVAL {
                return Err(Refusal::JoinLimit);
            }
            entry.next_conforming = next_conforming;
        }
        if self.max_open.is_some() {
            entry.open += 1;
        }
        Ok(())
    }

    /// Subtracts a WebSocket that has been counted.
    pub(super) fn close(&mut self, address: Option<IpAddr>) {
        if let Some(entry) = self.entries.get_mut(&counted_address(address)) {
            entry.open = entry.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> Option<IpAddr> {
        Some(address.parse().expect(address))
    }

    #[test]
    fn an_address_joins_in_a_burst_and_then_at_its_rate() {
        let mut limits = AddressLimits::new(None);
        let start = Instant::now();
        for _ in 0..JOIN_BURST {
            assert_eq!(limits.open(ip("192.0.2.1"), start), Ok(()));
        }
        assert_eq!(limits.open(ip("192.0.2.1"), start), Err(Refusal::JoinLimit));
        assert_eq!(limits.open(ip("192.0.2.2"), start), Ok(()));
        let later = start + 3 * JOIN_INTERVAL;
        let admitted = (0..10).filter(|_| limits.open(ip("192.0.2.1"), later).is_ok());
        assert_eq!(admitted.count(), 3);
        for _ in 0..10 * JOIN_BURST {
            assert_eq!(limits.open(ip("::ffff:127.0.0.1"), start), Ok(()));
            assert_eq!(limits.open(None, start), Ok(()));
        }
    }

    #[test]
    fn open_connections_are_limited_by_address_and_by_64_bits_of_ipv6() {
        let mut limits = AddressLimits::new(Some(2));
        let now = Instant::now();
        for (first, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ] {
            assert_eq!(limits.open(ip(first), now), Ok(()));
            assert_eq!(limits.open(ip(same), now), Ok(()));
            assert_eq!(limits.open(ip(first), now), Err(Refusal::AddressLimit(2)));
            assert_eq!(limits.open(ip(other), now), Ok(()));
            limits.close(ip(same));
            assert_eq!(limits.open(ip(first), now), Ok(()));
        }
        assert_eq!(limits.open(None, now), Ok(()));
        assert_eq!(limits.open(None, now), Ok(()));
        assert_eq!(limits.open(None, now), Err(Refusal::AddressLimit(2)));
    }

    #[test]
    fn entries_that_limit_nothing_are_dropped() {
        let mut limits = AddressLimits::new(Some(1));
        let start = Instant::now();
        let address = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        for n in 0..100_000 {
            let now = start + JOIN_INTERVAL * n / 100;
            assert_eq!(limits.open(address(n), now), Ok(()));
            if n != 0 {
                limits.close(address(n));
            }
            assert!(limits.entries.len() <= MIN_PRUNED_ENTRIES, "{n}");
        }
        let end = start + 1001 * JOIN_INTERVAL;
        assert_eq!(limits.open(address(0), end), Err(Refusal::AddressLimit(1)));
    }
}
