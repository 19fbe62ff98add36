//! The standing of a room in its log: what the two threads of the room tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entry::{Incarnation, Statement};
use super::lost::Lost;
use crate::metrics::ClusterMetrics;

/// The time for which the server may be away. Until then everything waits; after it, clients are told.
const AWAY: Duration = Duration::from_secs(10);

/// The same while this node ends, and the time for its last batches to come back. The others miss it after ten seconds.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// The pauses between attempts to reach the server, the first and the longest.
pub(super) const PAUSES: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(500));

/// Whether the room takes clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// The room has not been admitted yet.
    Starting,
    /// The room is part of the log. A log that has lost entries can give the same number again, but the token of an incarnation
    /// is another one each time.
    Joined {
        log: u64,
        incarnation: Incarnation,
        token: u64,
    },
    /// The room has lost its place, and tries to come back.
    Away,
    /// The room has no clients any more, or the server shuts down.
    Ended,
}

impl Phase {
    /// Returns the number of the incarnation, or 0 if there is none.
    pub(super) fn incarnation(self) -> Incarnation {
        match self {
            Phase::Joined { incarnation, .. } => incarnation,
            Phase::Starting | Phase::Away | Phase::Ended => 0,
        }
    }
}

/// The standing, behind a lock that is taken for each batch and never held while waiting for anything else.
pub(super) struct Standing {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// The number of own batches of the incarnation that the dispatcher has.
    applied: u64,
    /// The newest digest of the room.
    statement: Option<Statement>,
    /// The reason why the appender has given up the incarnation.
    lost: Option<Lost>,
    is_shutting_down: bool,
    metrics: ClusterMetrics,
}

impl Standing {
    pub(super) fn new() -> Standing {
        let state = State {
            phase: Phase::Starting,
            applied: 0,
            statement: None,
            lost: None,
            is_shutting_down: false,
            metrics: ClusterMetrics::default(),
        };
        Standing {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Begins an incarnation, unless the room has ended.
    pub(super) fn join(&self, log: u64, incarnation: Incarnation, token: u64) {
        let mut state = self.lock();
        if state.phase != Phase::Ended {
            (state.applied, state.statement, state.lost) = (0, None, None);
            state.phase = Phase::Joined {
                log,
                incarnation,
                token,
            };
            state.metrics.incarnation = incarnation.into();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the incarnation, unless the room has ended.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Ended {
            state.phase = Phase::Away;
            // The reader can leave by itself when the appender has just given up. Its reason is no reason for the next time.
            state.lost = None;
            state.metrics.losses += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.lock().phase = Phase::Ended;
        self.changed.notify_all();
    }

    /// Makes known that this node is about to end.
    pub(super) fn begin_shutdown(&self) {
        self.lock().is_shutting_down = true;
    }

    /// Returns the time for which the server may be away.
    pub(super) fn patience(&self) -> Duration {
        let is_shutting_down = self.lock().is_shutting_down;
        if is_shutting_down { FAREWELL } else { AWAY }
    }

    /// Waits until the phase is another one.
    pub(super) fn wait_changed(&self, phase: Phase) {
        let is_same = |state: &mut State| state.phase == phase;
        drop(self.changed.wait_while(self.lock(), is_same));
    }

    /// Waits until the room has ended.
    pub(super) fn wait_ended(&self) {
        let is_running = |state: &mut State| state.phase != Phase::Ended;
        drop(self.changed.wait_while(self.lock(), is_running));
    }

    /// Waits for this time, or until the phase is another one.
    pub(super) fn wait_while(&self, phase: Phase, timeout: Duration) {
        let is_same = |state: &mut State| state.phase == phase;
        let wait = self
            .changed
            .wait_timeout_while(self.lock(), timeout, is_same);
        drop(wait);
    }

    /// Waits until the dispatcher has this many batches, the phase is another one, or the time has passed.
    pub(super) fn wait_applied(&self, phase: Phase, batches: u64, deadline: Instant) {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let is_behind = |state: &mut State| state.phase == phase && state.applied < batches;
        let wait = (self.changed).wait_timeout_while(self.lock(), timeout, is_behind);
        drop(wait);
    }

    /// Makes known that the dispatcher has this many own batches.
    pub(super) fn set_applied(&self, batches: u64) {
        self.lock().applied = batches;
        self.changed.notify_all();
    }

    pub(super) fn applied(&self) -> u64 {
        self.lock().applied
    }

    pub(super) fn set_statement(&self, statement: Statement) {
        self.lock().statement = Some(statement);
    }

    /// Returns the newest digest of the room, once.
    pub(super) fn take_statement(&self) -> Option<Statement> {
        self.lock().statement.take()
    }

    /// Asks the reader to end the incarnation of this phase, unless it has ended.
    pub(super) fn give_up(&self, phase: Phase, reason: Lost) {
        let mut state = self.lock();
        if state.phase == phase {
            state.lost = Some(reason);
        }
    }

    pub(super) fn take_lost(&self) -> Option<Lost> {
        self.lock().lost.take()
    }

    /// Counts something.
    pub(super) fn count(&self, count: impl FnOnce(&mut ClusterMetrics)) {
        count(&mut self.lock().metrics);
    }

    pub(super) fn counted(&self) -> ClusterMetrics {
        self.lock().metrics.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_that_has_ended_is_not_given_up() {
        let standing = Standing::new();
        standing.join(1000, 1, 7);
        let first = standing.phase();
        standing.leave();
        // The log has lost the first one, and gives its number again.
        standing.join(1000, 1, 8);
        standing.give_up(first, Lost::OtherLog);
        assert_eq!(standing.take_lost(), None);
        standing.give_up(standing.phase(), Lost::OtherLog);
        assert_eq!(standing.take_lost(), Some(Lost::OtherLog));
    }

    #[test]
    fn a_reason_for_which_the_room_has_left_does_not_end_its_next_incarnation() {
        let standing = Standing::new();
        standing.join(1000, 1, 7);
        standing.give_up(standing.phase(), Lost::OtherLog);
        standing.leave();
        assert_eq!(standing.take_lost(), None);
    }
}
