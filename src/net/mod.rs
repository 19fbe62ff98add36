//! Sockets, plain or with TLS.

#[cfg(feature = "tls")]
pub(crate) mod certificate;
pub(crate) mod forwarded;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use stream::Stream;
