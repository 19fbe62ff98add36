//! The state of a room as bytes, for nodes that share it. Plain logic.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{Room, User};
use crate::chat::delivery::Delivery;
use crate::chat::digest::Digest;
use crate::chat::join::ConnectionId;
use crate::chat::reservations::Reservations;
use crate::config::Config;

impl Room {
    /// Returns the whole state of the room.
    pub(in crate::chat) fn snapshot(&self) -> Vec<u8> {
        // Encoding fails only for what has no form in JSON, such as a map whose keys are no texts or numbers.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Restores a room from a snapshot, with the history as long as this configuration allows.
    ///
    /// # Errors
    ///
    /// The bytes are no snapshot.
    pub(crate) fn from_snapshot(bytes: &[u8], config: &Config) -> serde_json::Result<Room> {
        let mut room: Room = serde_json::from_slice(bytes)?;
        room.history
            .set_limits(config.history, config.history_limit());
        for (id, user) in &room.users {
            room.names.add(&user.name, *id);
        }
        Ok(room)
    }

    /// Returns a number that is the same for rooms in the same state. The kept texts do not count: nodes may keep fewer.
    pub(in crate::chat) fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        let state = (&self.users, self.next_guest, &self.reservations);
        let counted = (&self.name, self.epoch, self.history.last_id());
        // Writing to a digest cannot fail.
        let _ = (state, counted).serialize(&mut serde_json::Serializer::new(&mut digest));
        digest.value()
    }

    /// Returns the users who joined first. Their ids are in the order of their nodes.
    pub(super) fn first_users(&self, number: usize) -> impl Iterator<Item = &User> {
        let mut users: Vec<&User> = self.users.values().collect();
        if users.len() > number {
            users.select_nth_unstable_by_key(number, |user| user.number);
            users.truncate(number);
        }
        users.sort_unstable_by_key(|user| user.number);
        users.into_iter()
    }

    /// Removes the users with these ids.
    pub(in crate::chat) fn leave_all(
        &mut self,
        ids: RangeInclusive<ConnectionId>,
    ) -> Vec<Delivery<'static>> {
        let ids: Vec<_> = self.users.range(ids).map(|(id, _)| *id).collect();
        ids.into_iter().flat_map(|id| self.leave(id)).collect()
    }

    /// Begins a new life: what clients know of the one before does not help them to find what they have missed.
    pub(in crate::chat) fn renew(&mut self, now: u64) {
        self.epoch = now.max(self.epoch + 1);
    }

    /// Begins a new life without users and texts after the last user has left, as a room other than `/chat` does.
    pub(in crate::chat) fn restart_if_empty(&mut self, now: u64) {
        let is_unused = self.next_guest == 0;
        if self.users.is_empty() && !self.name.is_empty() && !is_unused {
            self.renew(now);
            self.history.clear();
            self.next_guest = 0;
            self.reservations = Reservations::default();
        }
    }
}
