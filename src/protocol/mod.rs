//! The messages between clients and the server: commands, events, and the two dialects they are encoded in.

mod command;
mod dialect;
mod event;
mod json;
pub mod plain;

pub use command::{ClientCommand, TYPED_COMMANDS, TypedCommand, help};
pub(crate) use dialect::Dialect;
pub use event::ServerEvent;
pub use json::JSON_SUBPROTOCOL;
