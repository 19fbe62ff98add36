//! The health of a running server.

use crate::chat::rooms::WeakRooms;

/// Checks the health of a server, from any thread. It can be cloned.
#[derive(Clone)]
pub struct HealthHandle(pub(super) WeakRooms);

impl HealthHandle {
    /// Returns whether the dispatchers of all rooms respond, as `GET /health` does. Waits for up to 4 seconds. When the server has
    /// ended, no room is left to be unhealthy.
    pub fn is_healthy(&self) -> bool {
        let rooms = self.0.upgrade();
        rooms.is_none_or(|rooms| rooms.respond())
    }
}
