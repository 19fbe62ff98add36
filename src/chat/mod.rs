//! The chat: a dispatcher thread for each room, which owns the room and its sessions.

mod delivery;
#[cfg(feature = "cluster")]
pub(crate) mod digest;
pub(crate) mod dispatcher;
mod entrance;
pub(crate) mod event;
mod history;
pub(crate) mod join;
#[cfg(feature = "cluster")]
pub(crate) mod replicate;
mod reservations;
pub(crate) mod room;
pub(crate) mod rooms;
mod sessions;
mod tally;
mod user_names;
