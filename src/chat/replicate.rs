//! How rooms get into a log that several nodes share.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::event::Event;
use crate::metrics::ClusterMetrics;
use crate::text::RoomName;

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

    /// Makes known that this node is about to end, and waits for nothing.
    fn shut_down(&self);

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
