//! The entries of a room's log. Plain logic.

use std::net::IpAddr;

use crate::chat::event::{Step, WhisperRefusal};
use crate::chat::join::ConnectionId;
use crate::protocol::ClientCommand;

/// The bits of a [`ConnectionId`] that count the connections of an incarnation. Those above are the incarnation.
const CLIENT_BITS: u32 = 40;

/// The number of a node's stay in the log: a new one at each start, and after each loss. None is used twice, unless the log has
/// lost the entry with which it began.
pub(super) type Incarnation = u32;

/// The most incarnations of a log, by the bits that a [`ConnectionId`] has for them.
pub(super) const MAX_INCARNATION: Incarnation = (1 << (u64::BITS - CLIENT_BITS)) - 1;

/// Returns the id of the first connection of an incarnation. Those of its clients follow.
pub(super) fn first_id(incarnation: Incarnation) -> ConnectionId {
    ConnectionId::from(incarnation) << CLIENT_BITS
}

/// Returns the id of the last connection that an incarnation could have.
pub(super) fn last_id(incarnation: Incarnation) -> ConnectionId {
    first_id(incarnation) | ((1 << CLIENT_BITS) - 1)
}

/// An entry of a log.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// Begins the log. If several nodes begin it at once, the first one counts.
    Genesis,
    /// A node begins an incarnation. Those that are admitted are numbered from 1.
    Hello { log: u64, node: Node },
    /// What the clients of a node did.
    Batch(Batch),
    /// A node has seen entries that the log has lost: the numbers of their texts are given to others. The room begins a new
    /// life, so that clients do not take one for the other.
    Renewal { log: u64 },
    /// A node finds neither the beginning of the log nor a snapshot. The first node that is there stores one.
    SnapshotRequest { log: u64 },
    /// An incarnation has ended.
    Bye { log: u64, incarnation: Incarnation },
}

impl Entry {
    /// Returns the identity of the log: the time of its first entry, in milliseconds since 1970. The first entry has none.
    pub(super) fn log(&self) -> Option<u64> {
        match self {
            Entry::Genesis => None,
            Entry::Batch(batch) => Some(batch.header.log),
            Entry::Hello { log, .. }
            | Entry::Renewal { log }
            | Entry::SnapshotRequest { log }
            | Entry::Bye { log, .. } => Some(*log),
        }
    }
}

/// A node as it introduces itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) name: String,
    /// Tells the node that an entry is its own. Each incarnation has another one.
    pub(super) token: u64,
    /// The same for all incarnations of a process in a room.
    pub(super) process: u64,
    /// Whether it is the first incarnation of the process, which takes the place of an earlier process with this name.
    pub(super) is_first: bool,
}

/// What the clients of a node did since its batch before.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) header: BatchHeader,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BatchHeader {
    /// The [identity](Entry::log) of the log.
    pub(super) log: u64,
    pub(super) incarnation: Incarnation,
    /// The number of batches of the incarnation before this one.
    pub(super) sequence: u64,
    /// Whether the batch is the heartbeat, which comes each second even if nobody did anything.
    pub(super) is_heartbeat: bool,
    /// What the node knows about its own state.
    pub(super) statement: Option<Statement>,
}

/// The digest of a node's state at a point of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Statement {
    /// The number of entries up to the point.
    pub(super) point: u64,
    pub(super) digest: u64,
}

/// What a client did. Clients have numbers within their incarnation.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    Joined {
        client: u64,
        name: Option<String>,
        address: Option<IpAddr>,
    },
    Command {
        client: u64,
        command: ClientCommand<'static>,
    },
    Left {
        client: u64,
        is_too_slow: bool,
    },
    /// A client was too slow to receive a whisper.
    WhisperRefused(WhisperRefusal),
}

impl Change {
    /// Returns the effect on a room, if the client is of another node.
    pub(super) fn into_step(self, incarnation: Incarnation) -> Step {
        let id = |client: u64| (first_id(incarnation) | client).min(last_id(incarnation));
        match self {
            Change::Joined {
                client,
                name,
                address,
            } => Step::Join {
                id: id(client),
                name,
                address,
            },
            Change::Command { client, command } => Step::Command(id(client), command),
            Change::WhisperRefused(refusal) => Step::RefuseWhisper(refusal),
            Change::Left {
                client,
                is_too_slow,
            } => Step::Leave {
                id: id(client),
                is_too_slow,
            },
        }
    }
}
