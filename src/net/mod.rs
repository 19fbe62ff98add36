//! Sockets.

pub(crate) mod forwarded;
mod stream;

pub(crate) use stream::Stream;
