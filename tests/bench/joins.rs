//! Simultaneous joins: many clients connect at once, and the last greeting ends the measurement.

use std::time::{Duration, Instant};

use crate::Result;
use crate::client_pool::ClientPool;
use crate::connection::{Connection, Endpoint};
use crate::frame;

/// Timeout for all greetings, long enough for several retransmissions of a SYN.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of one round.
pub struct Joins {
    /// Number of clients that were greeted.
    pub greeted: usize,
    /// Time from the first connection attempt to the last greeting.
    pub last_greeting: Duration,
    /// First error of a client that was not greeted.
    pub error: Option<String>,
}

/// Starts all connection attempts without waiting for any of them, then waits until each client has been greeted or has
/// failed.
pub fn measure(endpoint: &Endpoint, clients: usize) -> Result<Joins> {
    let mut pool = ClientPool::new()?;
    let (mut is_greeted, mut ready) = (vec![false; clients], Vec::new());
    let (mut greeted, mut failed, mut error) = (0, 0, None);
    let start = Instant::now();
    let mut last_greeting = Duration::ZERO;
    for _ in 0..clients {
        pool.add(Connection::start(endpoint)?)?;
    }
    while greeted + failed < clients {
        let Some(remaining) = GREETING_TIMEOUT.checked_sub(start.elapsed()) else {
            error.get_or_insert_with(|| format!("timeout after {GREETING_TIMEOUT:?}"));
            break;
        };
        pool.wait(remaining, &mut ready)?;
        for &slot in &ready {
            let result = pool.receive(slot, |opcode, _, _| {
                if opcode == frame::TEXT && !is_greeted[slot] {
                    is_greeted[slot] = true;
                    greeted += 1;
                    last_greeting = start.elapsed();
                }
            });
            if let Err(failure) = result
                && !is_greeted[slot]
            {
                failed += 1;
                error.get_or_insert_with(|| failure.to_string());
            }
        }
    }
    Ok(Joins {
        greeted,
        last_greeting,
        error,
    })
}
