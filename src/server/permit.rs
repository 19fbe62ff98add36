//! The limits on open WebSockets, in total and for each address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::address_limits::AddressLimits;
use super::refusal::Refusal;
use crate::config::Config;

struct Limits {
    open: AtomicUsize,
    max: usize,
    max_per_address: Option<usize>,
    addresses: Mutex<AddressLimits>,
}

impl Limits {
    fn addresses(&self) -> MutexGuard<'_, AddressLimits> {
        // A poisoned lock guards complete numbers.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permits for a number of connections. Each open WebSocket holds one, echo clients included.
#[derive(Clone)]
pub(super) struct ConnectionLimit(Arc<Limits>);

/// The permission to have one WebSocket open, until it is dropped.
pub(super) struct ConnectionPermit {
    limits: Arc<Limits>,
    address: Option<IpAddr>,
    /// Whether it is counted for the address.
    is_counted: bool,
}

impl ConnectionLimit {
    pub(super) fn new(config: &Config) -> ConnectionLimit {
        ConnectionLimit(Arc::new(Limits {
            open: AtomicUsize::new(0),
            max: config.max_connections,
            max_per_address: config.max_per_address,
            addresses: Mutex::new(AddressLimits::new(config.max_per_address)),
        }))
    }

    /// Returns a permit for a client with this address. Any thread; never waits, except for the short lock of the table of
    /// addresses.
    ///
    /// # Errors
    ///
    /// The limit that is reached.
    pub(super) fn try_acquire(&self, address: Option<IpAddr>) -> Result<ConnectionPermit, Refusal> {
        let limits = &self.0;
        let add_one = |open| (open < limits.max).then_some(open + 1);
        limits
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add_one)
            .map_err(|_| Refusal::ConnectionLimit(limits.max))?;
        // From here on the permit subtracts what was added, also if the address has reached its limit.
        let mut permit = ConnectionPermit {
            limits: Arc::clone(limits),
            address,
            is_counted: false,
        };
        limits.addresses().open(address, Instant::now())?;
        permit.is_counted = limits.max_per_address.is_some();
        Ok(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        if self.is_counted {
            self.limits.addresses().close(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_can_be_acquired_again() {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for (max_connections, max_per_address) in [(2, None), (9, Some(2))] {
            let limit = ConnectionLimit::new(&Config {
                max_connections,
                max_per_address,
                ..Config::default()
            });
            let first = limit.try_acquire(address);
            let second = limit.try_acquire(address);
            assert!(first.is_ok() && second.is_ok() && limit.try_acquire(address).is_err());
            drop(first);
            assert!(limit.try_acquire(address).is_ok());
        }
    }
}
