//! A WebSocket chat server on plain OS threads.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod connection;
mod dispatcher;
mod framing;
mod http;
pub mod journal;
mod leave;
pub mod options;
mod outbound;
mod page;
pub mod plain;
pub mod protocol;
mod room;
mod server;
pub mod text;

pub use options::Options;
pub use server::{Server, ServerError, Stopper};

/// The stack of every thread that serves a client. Address space, of which only what is touched becomes memory; small
/// enough for thousands of them in the 3 GiB that a 32-bit board has.
const STACK_BYTES: usize = 256 << 10;
