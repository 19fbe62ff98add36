//! The chat: its dispatcher and its room.

pub(crate) mod dispatcher;
pub(crate) mod room;
