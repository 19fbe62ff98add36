//! What the dispatchers of rooms that have ended have counted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::ChatMetrics;

/// The tally of all rooms other than `/chat`.
#[derive(Default)]
pub(super) struct Tally {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The number of dispatchers that have not ended.
    pub(super) running: usize,
    /// What those that have ended have counted.
    pub(super) sum: ChatMetrics,
}

/// A dispatcher's part in the tally. Is dropped when the dispatcher ends, even by a panic.
pub(super) struct Share {
    tally: Arc<Tally>,
    pub(super) counted: Option<ChatMetrics>,
}

impl Tally {
    /// Takes note of a dispatcher.
    pub(super) fn share(self: &Arc<Tally>) -> Share {
        self.state().running += 1;
        Share {
            tally: Arc::clone(self),
            counted: None,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No panic leaves the state incomplete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a dispatcher ends, up to `timeout`.
    pub(super) fn wait(&self, state: MutexGuard<'_, State>, timeout: Duration) {
        let _ended = self.ended.wait_timeout(state, timeout);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.tally.state();
        state.running -= 1;
        if let Some(counted) = &self.counted {
            state.sum.add(counted);
        }
        drop(state);
        self.tally.ended.notify_all();
    }
}
