//! The rate limit of one client.

use std::thread;
use std::time::{Duration, Instant};

/// The time whose share of messages a client can send at once after it was idle.
const BURST_WINDOW: Duration = Duration::from_secs(1);

/// Slows a client down to its rate by blocking its thread, so that further input stays in the client's TCP window.
///
/// The algorithm is GCRA, the generic cell rate algorithm: it keeps one time instead of a bucket of tokens.
pub(super) struct RateLimiter {
    /// The time between two messages at the permitted rate.
    interval: Duration,
    /// The time at which the next message conforms to the rate (GCRA: theoretical arrival time). It lies up to a burst in
    /// the past.
    next_conforming: Instant,
}

impl RateLimiter {
    /// Creates a limiter for a positive number of messages per second.
    pub(super) fn new(per_second: u32) -> RateLimiter {
        let now = Instant::now();
        RateLimiter {
            interval: Duration::from_secs(1) / per_second,
            next_conforming: now.checked_sub(BURST_WINDOW).unwrap_or(now),
        }
    }

    /// Accounts for one message and waits until the message conforms to the rate.
    pub(super) fn throttle(&mut self) {
        let now = Instant::now();
        let earliest = now
            .checked_sub(BURST_WINDOW)
            .unwrap_or(self.next_conforming);
        self.next_conforming = self.next_conforming.max(earliest) + self.interval;
        thread::sleep(self.next_conforming.saturating_duration_since(now));
    }
}
