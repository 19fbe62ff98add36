//! What a node does about a log that has lost entries, before it comes back.

use std::time::{Duration, Instant};

use super::Reader;
use crate::cluster::codec;
use crate::cluster::entry::Entry;
use crate::cluster::lost::Lost;
use crate::cluster::members::EntryId;
use crate::cluster::position::Position;
use crate::cluster::redis_log::LogError;

/// The time for the other nodes to store a snapshot for one that finds none. They do so with the next entry.
const NO_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

impl Reader {
    /// Begins a new life of the room, because this node has seen what the log may not have. This is done before the clients are
    /// closed, so that they come back after it; after an error, when the node comes back.
    pub(super) fn begin_renewal(&mut self) {
        self.is_renewing = true;
        if let Ok((position, _)) = Position::load(&mut self.log, self.room.as_ref(), &self.config) {
            self.renew_if_needed(position.members.log());
        }
    }

    /// Finds out whether the log has lost the last entry that this node's clients can have seen, while the server or this node
    /// was away. A log that begins after the entry was trimmed, or is another one.
    ///
    /// # Errors
    ///
    /// The server is not available.
    pub(super) fn find_loss(&mut self, log: u64) -> Result<(), Lost> {
        let last = match self.shown {
            Some((shown, last)) if shown == log && !self.is_renewing => last,
            _ => return Ok(()),
        };
        match self.log.check(last) {
            Err(error @ LogError::LostEntry(_)) => {
                let address = self.log.address();
                log::error!("{}{address}: it {error}", self.log_prefix);
                self.is_renewing = true;
            }
            Ok(()) | Err(LogError::Missing | LogError::Trimmed(_)) => {}
            Err(error) => return Err(Lost::Log(error)),
        }
        Ok(())
    }

    /// Removes a log that nobody can read from its beginning, when no node has stored a snapshot for [`NO_SNAPSHOT_TIMEOUT`], nor
    /// until the attempt after that: one that knew the room would have done so at once. If the server was away meanwhile, the
    /// others have the time between the two attempts. Returns whether the log is removed, by this node or another one.
    pub(super) fn abandon_log(&mut self, first: EntryId) -> bool {
        let (since, was_overdue) = match self.no_snapshot {
            Some((entry, since, is_overdue)) if entry == first => (since, is_overdue),
            _ => (Instant::now(), false),
        };
        let is_overdue = since.elapsed() >= NO_SNAPSHOT_TIMEOUT;
        self.no_snapshot = Some((first, since, is_overdue));
        if !was_overdue {
            return false;
        }
        log::error!(
            "{}{}: no node knows the state of the room; the log is begun anew",
            self.log_prefix,
            self.log.address()
        );
        // After an error it is tried again with the next attempt.
        self.log.remove_from(first).is_ok()
    }

    /// Begins a new life of the room if this node has seen what others have not. A log that was begun anew is a new life.
    pub(super) fn renew_if_needed(&mut self, log: u64) {
        let is_same = self.log_seen == Some(log);
        if self.is_renewing && is_same {
            let renewal = codec::encode(&Entry::Renewal { log });
            self.is_renewing = self.log.append(&renewal).is_err();
            if !self.is_renewing {
                self.shown = None;
            }
        } else {
            self.is_renewing = false;
        }
    }
}
