//! The names that are reserved for users that were disconnected for being slow. Plain logic.

use std::collections::VecDeque;
use std::net::IpAddr;

#[cfg(feature = "cluster")]
use serde::{Deserialize, Serialize};

use crate::text::name_looks;

/// The time for which the name of a user that was disconnected for being slow is reserved for its address. Otherwise a
/// client that makes others slow could take their names. In milliseconds.
const NAME_RESERVATION: u64 = 30_000;

/// The largest number of reserved names. Beyond it the oldest reservation ends.
const MAX_RESERVED_NAMES: usize = 1000;

/// The largest number of names that are reserved for one address. Beyond it its oldest reservation ends, so that one that
/// is slow on purpose neither blocks many names nor ends the reservations of others.
const MAX_RESERVED_PER_ADDRESS: usize = 10;

/// A name that is reserved for an address, for a /64 of IPv6, or for the clients of Unix sockets.
#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
struct Reservation {
    /// The looks of the name. Whatever shares one counts as the name.
    looks: Vec<String>,
    address: Option<IpAddr>,
    /// In milliseconds since 1970.
    end: u64,
}

/// The reservations, the oldest first. All times are in milliseconds since 1970.
#[derive(Default)]
#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
pub(super) struct Reservations(VecDeque<Reservation>);

impl Reservations {
    /// Reserves a name for an address, in place of an earlier reservation of the name.
    pub(super) fn add(&mut self, name: &str, address: Option<IpAddr>, now: u64) {
        let looks = name_looks(name);
        self.0
            .retain(|reservation| reservation.looks.first() != looks.first());
        let own = |reservation: &Reservation| reservation.address == address;
        if self.0.iter().filter(|other| own(other)).count() == MAX_RESERVED_PER_ADDRESS {
            let oldest = self.0.iter().position(own);
            oldest.and_then(|index| self.0.remove(index));
        }
        if self.0.len() == MAX_RESERVED_NAMES {
            self.0.pop_front();
        }
        self.0.push_back(Reservation {
            looks,
            address,
            end: now + NAME_RESERVATION,
        });
    }

    /// Returns whether a name, or one that looks the same, is reserved for another address. Drops the reservations that have
    /// ended, and those that would last for longer than any may: the clock was set back since.
    pub(super) fn is_reserved(&mut self, name: &str, address: Option<IpAddr>, now: u64) -> bool {
        self.0
            .retain(|other| other.end > now && other.end <= now + NAME_RESERVATION);
        if self.0.is_empty() {
            return false;
        }
        let looks = name_looks(name);
        self.0.iter().any(|other| {
            other.address != address && other.looks.iter().any(|look| looks.contains(look))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn reservations_are_bounded_in_total_and_for_each_address() {
        let mut reservations = Reservations::default();
        let mut add = |number: usize, host: u32| {
            let address = Some(IpAddr::V4(Ipv4Addr::from_bits(host)));
            reservations.add(&format!("name{number}"), address, 0);
            reservations.0.len()
        };
        add(0, 1);
        for number in 1..50 {
            let most = 1 + MAX_RESERVED_PER_ADDRESS;
            assert_eq!(add(number, 2), most.min(1 + number));
        }
        for number in 50..2 * MAX_RESERVED_NAMES {
            assert!(add(number, number as u32) <= MAX_RESERVED_NAMES);
        }
        let mut reservations = Reservations::default();
        // One address cannot end the reservation of another.
        for number in 0..100 {
            let address = Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from(number > 0))));
            reservations.add(&format!("name{number}"), address, 0);
        }
        assert_eq!(reservations.0[0].looks, name_looks("name0"));
        assert_eq!(reservations.0.len(), 1 + MAX_RESERVED_PER_ADDRESS);
    }

    #[test]
    fn a_reservation_ends_and_holds_for_other_addresses_only() {
        let mut reservations = Reservations::default();
        let [own, other] = [1, 2].map(|host| Some(IpAddr::V4(Ipv4Addr::from_bits(host))));
        reservations.add("Ann", own, 1000);
        let end = 1000 + NAME_RESERVATION;
        assert!(reservations.is_reserved("aNN", other, end - 1));
        assert!(!reservations.is_reserved("ann", own, end - 1));
        assert!(!reservations.is_reserved("ann", other, end));
        assert!(reservations.0.is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_reservation_for_longer() {
        let mut reservations = Reservations::default();
        let [own, other] = [1, 2].map(|host| Some(IpAddr::V4(Ipv4Addr::from_bits(host))));
        reservations.add("ann", own, 1_000_000);
        reservations.add("bob", own, 1000);
        assert!(!reservations.is_reserved("ann", other, 1000));
        assert!(reservations.is_reserved("bob", other, 1000));
        assert!(!reservations.is_reserved("bob", other, 1000 + NAME_RESERVATION));
    }
}
