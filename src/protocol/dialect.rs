//! The dialect that a client and the server speak.

use super::command::ClientCommand;
use super::event::ServerEvent;
use super::{json, plain};
use crate::websocket::frame;

/// The encoding of commands and events for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Lines of text, for any WebSocket client.
    Plain,
    /// One JSON object per message, for programs.
    Json,
}

impl Dialect {
    /// All dialects, in the order of their numbers (`dialect as usize`).
    pub(crate) const ALL: [Dialect; 2] = [Dialect::Plain, Dialect::Json];

    /// Decodes a text message from a client.
    pub(crate) fn decode(self, message: &str) -> ClientCommand<'static> {
        match self {
            Dialect::Plain => plain::decode(message),
            Dialect::Json => json::decode(message),
        }
    }

    /// Appends the event as whole frames. Appends nothing if the dialect cannot express the event.
    pub(crate) fn encode(self, event: &ServerEvent<'_>, frames: &mut Vec<u8>) {
        match self {
            Dialect::Plain => plain::encode(event, |line| frame::append_text(line, frames)),
            Dialect::Json => frame::append_text(&json::encode(event), frames),
        }
    }
}
