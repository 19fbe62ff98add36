//! The health of a running server.

use std::sync::{Arc, OnceLock};

use crate::chat::rooms::{Rooms, WeakRooms};

/// Checks the health of a server, from any thread. It can be cloned.
#[derive(Clone, Default)]
pub struct HealthHandle(Arc<OnceLock<WeakRooms>>);

impl HealthHandle {
    /// Makes the rooms known when the server runs.
    pub(super) fn set_rooms(&self, rooms: &Rooms) {
        // A server runs once.
        let _ = self.0.set(rooms.downgrade());
    }

    /// Returns whether the dispatchers of all rooms respond, as `GET /health` does. Waits until the server runs, and then for up
    /// to 4 seconds. When the server ends, no room is left to be unhealthy.
    pub fn is_healthy(&self) -> bool {
        let rooms = self.0.wait().upgrade();
        rooms.is_none_or(|rooms| rooms.respond())
    }
}
