//! The chat: a dispatcher thread for each room, which owns the room and its sessions.

pub(crate) mod dispatcher;
pub(crate) mod event;
mod history;
mod reservations;
mod room;
pub(crate) mod rooms;
mod sessions;
mod user_names;
