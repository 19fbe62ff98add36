//! The events that other threads send to the dispatcher.

#[cfg(feature = "cluster")]
use std::net::IpAddr;
#[cfg(feature = "cluster")]
use std::ops::RangeInclusive;
use std::time::Instant;

use crossbeam_channel::Sender;
use tungstenite::Bytes;

use super::join::{ConnectionId, Endpoint};
#[cfg(feature = "cluster")]
use super::room::Room;
use crate::metrics::ChatMetrics;
use crate::outbound::PendingResponse;
use crate::protocol::ClientCommand;
use crate::websocket::disconnect::DisconnectReason;

/// An event in the dispatcher's inbox.
pub(crate) enum Event {
    /// A client completed its handshake.
    Connected {
        id: ConnectionId,
        response: PendingResponse,
        endpoint: Endpoint,
    },
    /// A chat client sent a command, at this time if it is counted.
    Command(ConnectionId, ClientCommand<'static>, Option<Instant>),
    /// A client has been idle for the ping period and must be sent a Ping. The dispatcher sends it: Linux keeps 32 KiB for
    /// each thread that has ever sent, and most threads of connections never do otherwise.
    Idle(ConnectionId),
    /// A connection ended.
    Disconnected {
        id: ConnectionId,
        reason: DisconnectReason,
        /// The Close to send. The dispatcher sends it, because only the dispatcher knows the messages that must precede it.
        close: Option<Bytes>,
    },
    /// A question for what the dispatcher has counted, `None` if nothing is counted, or whether it responds at all. It replies
    /// on this channel, which must have capacity.
    Report(Sender<Option<ChatMetrics>>),
    /// Closes all current and later connections.
    Shutdown,
    /// What the log that several nodes share does to the room.
    #[cfg(feature = "cluster")]
    Replication(Replication),
}

/// An event from the thread that reads the log.
#[cfg(feature = "cluster")]
pub(crate) enum Replication {
    /// The room is in this state from now on, in place of every earlier one.
    Restore(Box<Restored>),
    /// The steps of one entry, whose time is in milliseconds since 1970.
    Steps {
        time: u64,
        steps: Vec<Step>,
        /// Whether the entry is from before this node came, and nothing to log.
        is_past: bool,
    },
    /// This node has lost its place in the log: its clients must not see what others do not see.
    Lost,
    /// A request for the room's snapshot. It is sent on this channel, which must have capacity.
    Snapshot(Sender<Vec<u8>>),
    /// A request for the room's digest at this point of the log, in the same way.
    Digest(u64, Sender<RoomDigest>),
}

/// The digest of a room's state at a point of the log.
#[cfg(feature = "cluster")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomDigest {
    /// The number of entries up to the point.
    pub(crate) point: u64,
    pub(crate) digest: u64,
}

/// A room that was restored.
#[cfg(feature = "cluster")]
pub(crate) struct Restored {
    pub(crate) room: Room,
    /// Takes what the sender's node of a whisper must know. The dispatcher does not wait for capacity.
    pub(crate) refusals: Sender<WhisperRefusal>,
}

/// A whisper from another node that a client here was too slow to receive.
#[cfg(feature = "cluster")]
#[derive(Debug, PartialEq)]
pub(crate) struct WhisperRefusal {
    /// The sender.
    pub(crate) id: ConnectionId,
    /// The receiver's name.
    pub(crate) to: String,
}

/// A step of a room: what the client of any node did.
#[cfg(feature = "cluster")]
pub(crate) enum Step {
    /// An event of a client of this node.
    Own(Event),
    /// A user joined on another node.
    Join {
        id: ConnectionId,
        name: Option<String>,
        address: Option<IpAddr>,
    },
    /// A user of another node sent a command.
    Command(ConnectionId, ClientCommand<'static>),
    /// A user of another node left, for being too slow or not.
    Leave { id: ConnectionId, is_too_slow: bool },
    /// A whisper did not reach its receiver on another node.
    RefuseWhisper(WhisperRefusal),
    /// The room begins a new life, with the same users.
    Renew,
    /// The node of these users is gone.
    LeaveAll(RangeInclusive<ConnectionId>),
}
