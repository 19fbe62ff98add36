//! The reasons for which a room loses its place in the log.

use std::fmt;

use super::codec::DecodeError;
use super::members::EntryId;
use super::redis_log::LogError;

/// The reason for which a room loses its place in the log.
#[derive(Debug, PartialEq)]
pub(super) enum Lost {
    /// The server was away for too long.
    Away(LogError),
    /// The log is gone, or its last entries.
    Log(LogError),
    /// The log was begun anew.
    OtherLog,
    /// The other nodes have removed this one.
    Removed(String),
    /// Another process has this name.
    NameTaken(String),
    /// The first entry of this node is not in the log.
    Hello,
    /// A batch of this node is not in the log, but a later one is.
    Gap,
    /// Another node is in a different state.
    Diverged,
    /// An entry cannot be read.
    Entry(EntryId, DecodeError),
    /// The log does not begin with its first entry, and there is no snapshot of what came before.
    NoSnapshot(EntryId),
    /// The snapshot cannot be read.
    Snapshot(EntryId),
    /// The dispatcher has ended by an internal error.
    Dispatcher,
}

impl Lost {
    /// Returns whether clients of this node have seen what the log may not have, so that the room needs a new life.
    pub(super) fn renews(&self) -> bool {
        match self {
            // A gap: the server has lost a batch that it had confirmed, and perhaps others with it, which clients have seen.
            Lost::Log(LogError::LostEntry(_)) | Lost::Gap | Lost::Diverged => true,
            // A log that was begun anew is a new life.
            Lost::Log(_)
            | Lost::Away(_)
            | Lost::OtherLog
            | Lost::Removed(_)
            | Lost::NameTaken(_)
            | Lost::Hello
            | Lost::Entry(..)
            | Lost::NoSnapshot(_)
            | Lost::Snapshot(_)
            | Lost::Dispatcher => false,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Away(error) => write!(f, "it is away for too long: it {error}"),
            Lost::Log(error) => write!(f, "it {error}"),
            Lost::OtherLog => f.write_str("the log was begun anew"),
            Lost::Removed(reason) => write!(f, "this node was removed: {reason}"),
            Lost::NameTaken(name) => {
                write!(
                    f,
                    "another node is called {name}; each needs a name of its own"
                )
            }
            Lost::Hello => f.write_str("the first entry of this node is missing in the log"),
            Lost::Gap => f.write_str("a batch of this node is missing in the log"),
            Lost::Diverged => f.write_str("another node is in a different state"),
            Lost::Entry(id, error) => write!(f, "entry {id} {error}"),
            Lost::NoSnapshot(id) => write!(
                f,
                "the entries before {id} are gone, and there is no snapshot; other nodes are asked for one"
            ),
            Lost::Snapshot(id) => write!(f, "the snapshot at {id} cannot be read"),
            Lost::Dispatcher => f.write_str("the dispatcher has ended"),
        }
    }
}
