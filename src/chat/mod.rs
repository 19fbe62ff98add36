//! The chat: one dispatcher thread that owns the sessions and the room.

pub(crate) mod dispatcher;
pub(crate) mod event;
mod room;
mod sessions;
