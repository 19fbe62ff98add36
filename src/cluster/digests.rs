//! The digests of this node's states, compared with those that all nodes state. Plain logic.

use std::collections::BTreeMap;

use super::entry::Statement;

/// The points that are remembered, about as many seconds. What a node states is seldom more than one or two old.
const POINTS: usize = 64;

/// The digests of the last points.
#[derive(Default)]
pub(super) struct Digests {
    own: BTreeMap<u64, u64>,
    /// What others have stated about points that this node's own digest is not known of yet.
    stated: BTreeMap<u64, u64>,
}

/// Nodes that have applied the same entries are in different states.
#[derive(Debug, PartialEq)]
pub(super) struct Diverged;

impl Digests {
    /// Adds a digest of this node.
    ///
    /// # Errors
    ///
    /// Another node has stated a different one.
    pub(super) fn add(&mut self, own: Statement) -> Result<(), Diverged> {
        insert(&mut self.own, own);
        match self.stated.remove(&own.point) {
            Some(digest) if digest != own.digest => Err(Diverged),
            _ => Ok(()),
        }
    }

    /// Compares what a node states, now or when the own digest is known. A point before those that are remembered is not
    /// compared.
    ///
    /// # Errors
    ///
    /// The own digest is different, or two nodes have stated different ones.
    pub(super) fn compare(&mut self, stated: Statement) -> Result<(), Diverged> {
        let Statement { point, digest } = stated;
        let known = self.own.get(&point).or(self.stated.get(&point));
        match known {
            Some(known) if *known != digest => Err(Diverged),
            Some(_) => Ok(()),
            None => {
                insert(&mut self.stated, stated);
                Ok(())
            }
        }
    }
}

/// Adds a digest, and forgets the oldest one beyond [`POINTS`].
fn insert(digests: &mut BTreeMap<u64, u64>, statement: Statement) {
    digests.insert(statement.point, statement.digest);
    if digests.len() > POINTS {
        digests.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(point: u64, digest: u64) -> Statement {
        Statement { point, digest }
    }

    #[test]
    fn different_digests_of_a_point_are_found_in_either_order() {
        let mut digests = Digests::default();
        assert_eq!(digests.add(statement(1, 10)), Ok(()));
        assert_eq!(digests.compare(statement(1, 10)), Ok(()));
        assert_eq!(digests.compare(statement(1, 11)), Err(Diverged));
        assert_eq!(digests.compare(statement(2, 20)), Ok(()));
        assert_eq!(digests.compare(statement(2, 21)), Err(Diverged));
        assert_eq!(digests.add(statement(2, 21)), Err(Diverged));
    }

    #[test]
    fn memory_is_bounded() {
        let mut digests = Digests::default();
        for point in 0..1000 {
            assert_eq!(digests.add(statement(point, 1)), Ok(()));
            assert_eq!(digests.compare(statement(point + 5000, 1)), Ok(()));
        }
        assert_eq!((digests.own.len(), digests.stated.len()), (POINTS, POINTS));
    }
}
