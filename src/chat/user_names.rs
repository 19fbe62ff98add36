//! The names that users have. Plain logic.

use std::collections::HashMap;

use super::join::ConnectionId;
use crate::text::name_looks;

/// The users by the looks of their names, which no two users share.
#[derive(Default)]
pub(super) struct UserNames(HashMap<String, ConnectionId>);

impl UserNames {
    /// Adds the name of a user. No other user has a name that looks the same.
    pub(super) fn add(&mut self, name: &str, id: ConnectionId) {
        let looks = name_looks(name).into_iter();
        self.0.extend(looks.map(|look| (look, id)));
    }

    pub(super) fn remove(&mut self, name: &str) {
        for look in name_looks(name) {
            self.0.remove(&look);
        }
    }

    /// Returns the users whose names are or look like this one.
    pub(super) fn like(&self, name: &str) -> Vec<ConnectionId> {
        let looks = name_looks(name);
        looks
            .iter()
            .filter_map(|look| self.0.get(look).copied())
            .collect()
    }
}
