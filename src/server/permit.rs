//! The limit on open WebSockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Permits for a number of connections. Each open WebSocket holds one, echo clients included.
#[derive(Clone)]
pub(super) struct ConnectionLimit {
    open: Arc<AtomicUsize>,
    max: usize,
}

/// The permission to have one WebSocket open, until it is dropped.
pub(super) struct ConnectionPermit(Arc<AtomicUsize>);

impl ConnectionLimit {
    pub(super) fn new(max: usize) -> ConnectionLimit {
        ConnectionLimit {
            open: Arc::default(),
            max,
        }
    }

    /// Returns a permit, unless all are in use. Any thread; never waits.
    pub(super) fn try_acquire(&self) -> Option<ConnectionPermit> {
        // The permit is made before the check, so that a refused one is subtracted again.
        let permit = ConnectionPermit(Arc::clone(&self.open));
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        (before < self.max).then_some(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_can_be_acquired_again() {
        let limit = ConnectionLimit::new(2);
        let first = limit.try_acquire();
        let second = limit.try_acquire();
        assert!(first.is_some() && second.is_some() && limit.try_acquire().is_none());
        drop(first);
        assert!(limit.try_acquire().is_some());
    }
}
