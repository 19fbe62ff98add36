//! The messages that clients and the server exchange, in both dialects.

mod event;
pub mod plain;

pub use event::*;
