//! The pending handshakes by address, and the choice of the one to evict. Plain logic without I/O.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::net::forwarded::counted_address;

/// The smallest number of handshakes among which complete ones are worth looking for.
const MIN_PRUNED: usize = 64;

/// Pending handshakes of type `T`.
pub(super) struct Pending<T> {
    /// The handshakes of each address, the oldest first, with their numbers. No queue is empty.
    by_address: HashMap<Option<IpAddr>, VecDeque<(usize, T)>>,
    len: usize,
    /// The number of handshakes at which complete ones are forgotten.
    prune_at: usize,
    /// The number of the next handshake, which orders them by age.
    next_number: usize,
}

impl<T> Pending<T> {
    pub(super) fn new() -> Pending<T> {
        Pending {
            by_address: HashMap::new(),
            len: 0,
            prune_at: MIN_PRUNED,
            next_number: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, address: Option<IpAddr>, handshake: T) {
        let queue = self.by_address.entry(counted_address(address)).or_default();
        queue.push_back((self.next_number, handshake));
        self.next_number = self.next_number.wrapping_add(1);
        self.len += 1;
    }

    /// Removes the handshakes that are not pending any more.
    pub(super) fn retain(&mut self, is_pending: impl Fn(&T) -> bool) {
        self.by_address.retain(|_, queue| {
            queue.retain(|(_, handshake)| is_pending(handshake));
            !queue.is_empty()
        });
        self.len = self.by_address.values().map(VecDeque::len).sum();
        self.prune_at = MIN_PRUNED.max(2 * self.len);
    }

    /// Returns whether there are twice as many handshakes as were pending when complete ones were last removed.
    pub(super) fn is_due_for_pruning(&self) -> bool {
        self.len >= self.prune_at
    }

    /// Removes the oldest handshake of the address that has most, so that many connections from one address evict each
    /// other. Of several such addresses, the one with the oldest handshake is chosen.
    pub(super) fn pop(&mut self) -> Option<T> {
        let rank = |queue: &VecDeque<(usize, T)>| (queue.len(), Reverse(queue[0].0));
        let (&address, _) = self
            .by_address
            .iter()
            .max_by_key(|(_, queue)| rank(queue))?;
        let queue = self.by_address.get_mut(&address)?;
        let (_, handshake) = queue.pop_front()?;
        if queue.is_empty() {
            self.by_address.remove(&address);
        }
        self.len -= 1;
        Some(handshake)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let queues = self.by_address.values();
        queues.flatten().map(|(_, handshake)| handshake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_address_with_most_is_removed_first() {
        let mut pending = Pending::new();
        for (number, host) in [1, 2, 2, 3, 3, 2].into_iter().enumerate() {
            pending.push(Some(IpAddr::from([192, 0, 2, host])), number);
        }
        // Two addresses of one /64 count as one.
        for (number, address) in [(6, "2001:db8::1"), (7, "2001:db8::2")] {
            pending.push(Some(address.parse().expect(address)), number);
        }
        assert_eq!(pending.len(), 8);
        let order: Vec<usize> = std::iter::from_fn(|| pending.pop()).collect();
        assert_eq!(order, [1, 2, 3, 6, 0, 4, 5, 7]);
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn complete_handshakes_do_not_count() {
        let mut pending = Pending::new();
        for number in 0..10 {
            pending.push(
                Some(IpAddr::from([192, 0, 2, u8::from(number > 6)])),
                number,
            );
        }
        pending.retain(|number| *number > 5);
        assert_eq!((pending.len(), pending.iter().count()), (4, 4));
        assert_eq!(pending.pop(), Some(7));
    }

    #[test]
    fn complete_handshakes_are_looked_for_when_their_number_has_doubled() {
        let mut pending = Pending::new();
        let mut searches = 0;
        for number in 0..1000 {
            if pending.is_due_for_pruning() {
                pending.retain(|handshake| *handshake < 100);
                searches += 1;
            }
            pending.push(None, number);
        }
        assert!(
            pending.len() <= 200 && searches <= 11,
            "{} {searches}",
            pending.len()
        );
    }
}
