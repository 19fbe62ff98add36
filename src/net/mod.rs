//! Sockets.

mod stream;

pub(crate) use stream::Stream;
