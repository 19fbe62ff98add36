//! Sockets, plain or with TLS.

#[cfg(feature = "tls")]
pub(crate) mod certificate;
pub(crate) mod forwarded;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_stream;

#[cfg(feature = "tls")]
pub use certificate::is_self_signed;
pub use stream::Stream;
