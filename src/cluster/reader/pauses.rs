//! How long a node waits before it comes back to a log.

use std::time::Duration;

use crate::cluster::lost::Lost;

/// The pauses before a room that has lost its place comes back, the first and the longest.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The pauses before a room that has lost its place comes back. They grow, so that one that loses it all the time is no burden
/// for the others.
pub(super) struct ReturnPauses {
    next: Duration,
}

impl ReturnPauses {
    pub(super) fn new() -> ReturnPauses {
        ReturnPauses { next: MIN_PAUSE }
    }

    /// Returns the pause after a loss: the first one again if the room has kept its place for the longest pause, or if the server
    /// was away, because the attempt has waited for it long enough.
    pub(super) fn after(&mut self, lost: &Lost, kept: Duration) -> Duration {
        if kept > MAX_PAUSE || matches!(lost, Lost::Away(_)) {
            self.next = MIN_PAUSE;
        }
        let pause = self.next;
        self.next = (2 * pause).min(MAX_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::redis_log::LogError;

    #[test]
    fn pauses_grow_up_to_the_longest_one() {
        let mut pauses = ReturnPauses::new();
        let taken = [(); 10].map(|()| pauses.after(&Lost::OtherLog, Duration::ZERO));
        assert_eq!(taken[..3], [1, 2, 4].map(|factor| factor * MIN_PAUSE));
        assert_eq!(taken[8..], [MAX_PAUSE; 2]);
        assert_eq!(pauses.after(&Lost::OtherLog, 2 * MAX_PAUSE), MIN_PAUSE);
    }

    #[test]
    fn a_room_comes_back_at_once_when_a_server_that_was_away_is_there() {
        let mut pauses = ReturnPauses::new();
        for _ in 0..10 {
            let away = Lost::Away(LogError::Unreachable("it does not respond".into()));
            assert_eq!(pauses.after(&away, Duration::from_secs(10)), MIN_PAUSE);
        }
    }
}
