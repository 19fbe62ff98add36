//! The health of a running server.

use crate::chat::rooms::WeakRooms;

/// Checks the health of a server, from any thread. It can be cloned.
#[derive(Clone)]
pub struct HealthHandle(pub(super) WeakRooms);

impl HealthHandle {
    /// Returns whether all rooms take clients and their dispatchers respond, as `GET /health` does. Waits for up to 4 seconds.
    /// When the server has ended, no room is left to be unhealthy.
    pub fn is_healthy(&self) -> bool {
        let rooms = self.0.upgrade();
        rooms.is_none_or(|rooms| rooms.are_healthy())
    }

    /// Returns whether the dispatchers of all rooms respond. If they do, a restart mends nothing: a node of a chat on several
    /// machines that is not healthy takes clients again by itself. Waits for up to 4 seconds.
    pub fn responds(&self) -> bool {
        let rooms = self.0.upgrade();
        rooms.is_none_or(|rooms| rooms.respond())
    }
}
