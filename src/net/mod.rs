//! Sockets of TCP, plain or with TLS, and Unix sockets.

#[cfg(feature = "tls")]
pub(crate) mod certificate;
pub(crate) mod forwarded;
mod listener;
mod peer;
mod socket;
#[cfg(unix)]
mod socket_file;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_stream;
mod waker;

#[cfg(feature = "tls")]
pub use certificate::is_self_signed;
pub use listener::Listener;
pub use peer::Peer;
pub use stream::{Stream, is_timeout};
pub(crate) use waker::Waker;
