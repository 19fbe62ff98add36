//! The rate limit of one client.

use std::thread;
use std::time::{Duration, Instant};

/// The size of a burst as a period: after being idle, a client can send this period's messages at once.
const BURST_WINDOW: Duration = Duration::from_secs(1);

/// Slows a client down to its rate by blocking its thread, so that further input stays in the client's TCP window.
///
/// The algorithm is GCRA, the generic cell rate algorithm: it keeps one time instead of a bucket of tokens.
pub(super) struct RateLimiter {
    /// The time between two messages at the permitted rate.
    interval: Duration,
    /// The time until which messages have been accounted for (GCRA: theoretical arrival time, less the burst). It lies up
    /// to a burst in the past. The next message is due one interval later.
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
