//! What the log that several nodes share does to a room, and how rooms get into it.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::event::{ConnectionId, Event};
use super::room::Room;
use crate::metrics::ClusterMetrics;
use crate::protocol::ClientCommand;
use crate::text::RoomName;

/// An event from the thread that reads the log.
pub(crate) enum Replication {
    /// The room is in this state from now on, in place of every earlier one.
    Restore(Box<Room>),
    /// The steps of one entry, whose time is in milliseconds since 1970.
    Steps { time: u64, steps: Vec<Step> },
    /// This node has lost its place in the log: its clients must not see what others do not see.
    Lost,
    /// A request for the room's snapshot. It is sent on this channel, which must have capacity.
    Snapshot(Sender<Vec<u8>>),
    /// A request for the room's digest, in the same way. The number says at what point of the log.
    Digest(u64, Sender<(u64, u64)>),
}

/// A step of a room: what the client of any node did.
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
    /// The node of these users is gone.
    LeaveAll(RangeInclusive<ConnectionId>),
}

/// What gives the events of a room's clients their order among those of other nodes.
pub(crate) trait Replicate: Send + Sync {
    /// Makes a room part of its log: `/chat` before this returns, any other room in a moment.
    ///
    /// # Errors
    ///
    /// The log cannot be used, or the system has no threads.
    fn replicate(
        &self,
        room: Option<&RoomName>,
        dispatcher: Sender<Event>,
        capacity: usize,
    ) -> Result<Replicated, ClusterError>;
}

/// A room that is part of a log. It leaves the log when every sender is dropped.
#[derive(Clone)]
pub(crate) struct Replicated {
    /// Where the connections of chat clients send their events.
    pub(crate) chat: Sender<Event>,
    pub(crate) membership: Arc<dyn Membership>,
}

/// The membership of a room in its log.
pub(crate) trait Membership: Send + Sync {
    /// Returns whether the room takes clients.
    fn is_open(&self) -> bool;

    fn metrics(&self) -> ClusterMetrics;
}

/// The reason why a room cannot become part of its log, in one line.
#[derive(Debug)]
pub struct ClusterError(pub(crate) String);

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClusterError {}
