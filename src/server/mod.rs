//! The server: its threads, and what each of them waits for.
//!
//! # Threads
//!
//! | thread | number | waits for | ends when |
//! | --- | --- | --- | --- |
//! | acceptor | one, the caller of [`Server::run`] | the next client; during shutdown: room in each inbox, then the dispatchers | the server shuts down |
//! | handshake | one per pending request | its client: 10 s for the head, 4 s to accept the response and close; for `/health` the dispatchers: 4 s; then 10 ms for the next client | the response is sent, or the connection's thread started, and no further client came |
//! | connection | one per WebSocket | its client, for which it orders Pings when idle, for the time of its rate limit at most; or room in the inbox; an echo client's also for its own output; at the end 5 s for the client to accept the Close and 2 s to close | the client has disconnected |
//! | dispatcher | one for `/chat`, and one for each other room that has clients | its inbox | every sender of the inbox is dropped: the registry's after the last client's visit, and that client's |
//! | flush | with `--writers N`: N − 1 for each batch to 500 clients and more for each of them | nothing | its part of the batch is sent; the dispatcher waits for that |
//! | writer | one per client that has fallen behind | its client: 10 s without progress at most; then 0.5 s for more to write | the client has caught up or disconnected |
//!
//! # Rules
//!
//! - Channels run in one direction: connection → dispatcher → outbound. No two threads wait for each other
//!   (`tests/shutdown.rs`, `tests/shutdown_under_load.rs`).
//! - Only the dispatcher owns the list of sessions, so the list needs no lock. One thread makes the order of messages, so it
//!   is the same for all clients of a room (`tests/message_order.rs`, `tests/json.rs`).
//! - A room has at most one dispatcher that takes clients. The registry's lock is taken when a client comes or goes, never
//!   for a message, and is held for no longer than the start of a thread. A client that finds no entry starts a dispatcher
//!   with an inbox of its own; the one before it may still process its last events, and has no clients any more
//!   (`tests/rooms.rs`).
//! - The dispatcher never waits for a client, so a stalled or slow one delays no other (`tests/stalled_clients.rs`,
//!   `tests/slow_consumer.rs`).
//! - The inbox is bounded. A flooding client blocks its own thread, and then its TCP window fills
//!   (`tests/floods.rs`, `tests/flood_fanout.rs`, `tests/rate_limit.rs`).
//! - Writing to a client follows the rules of [`outbound`](crate::outbound) (`src/outbound/tests.rs`,
//!   `src/outbound/model.rs`). Bytes queued for a client are bounded (`tests/memory_bound.rs`).
//! - Logging never waits: the program's log writer has a thread of its own (`tests/log.rs`).
//! - An error of one client, or a panic in its threads, ends that connection alone. A panic of a room's dispatcher
//!   closes that room's connections, and one of `/chat`'s ends the server (`tests/panics.rs`, `tests/fuzz.rs`).
//! - Shutdown: the acceptor returns and evicts pending handshakes. Each dispatcher sends its clients a Close, and aborts
//!   those that do not reply within 5 s. The threads of handshakes and connections hold senders of the inboxes, so the
//!   dispatchers end after the last of them (`tests/shutdown.rs`, `tests/rooms.rs`).
//! - TLS: the lock of [`net`](crate::net)'s state of a connection is held for computing only, by the connection's thread for
//!   what it has read, and by the holder of the writer's role for what it writes; the locks of the certificate and of the secret
//!   for exchanging a pointer. No thread waits for a socket or a file with one of them (`tests/tls_chat.rs`, `tests/tls_reload.rs`).
//! - Locks and atomics outside of `outbound`: the atomic of [`permit`] counts connections; a lock there guards the limits of
//!   each address, and is taken once per join, and once per disconnect with `--max-per-address`; `claimed` in [`admission`]
//!   decides once for each pending handshake whether it is evicted; locks there count connection ids, and refusals for the
//!   log. None is held while waiting, and none is taken for a message (`tests/limits.rs`, `tests/slowloris.rs`,
//!   `tests/address_limits.rs`).

mod acceptor;
mod address_limits;
mod admission;
mod pending;
mod permit;
mod refusal;
mod shutdown;
#[cfg(feature = "tls")]
mod tls_handshake;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use self::admission::Admission;
pub use self::shutdown::ShutdownHandle;
use self::shutdown::ShutdownOnDrop;
use crate::chat::rooms::Rooms;
use crate::config::{Config, ConfigError, SecretError};
use crate::http::secret::SharedSecret;
#[cfg(feature = "tls")]
use crate::net::certificate::{Certificate, CertificateError};

/// The reason why a server could not start, or ended without being shut down.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration is invalid.
    Config(ConfigError),
    /// The address is not available.
    Bind(SocketAddr, io::Error),
    /// The certificate cannot be used.
    #[cfg(feature = "tls")]
    Certificate(CertificateError),
    /// The secret cannot be used.
    Secret(SecretError),
    /// The dispatcher's thread could not be started.
    Spawn(io::Error),
    /// The dispatcher panicked.
    DispatcherPanicked,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => write!(f, "{error}"),
            ServerError::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            #[cfg(feature = "tls")]
            ServerError::Certificate(error) => write!(f, "{error}"),
            ServerError::Secret(error) => write!(f, "{error}"),
            ServerError::Spawn(error) => write!(f, "cannot start a thread: {error}"),
            ServerError::DispatcherPanicked => {
                write!(f, "the dispatcher ended by an internal error")
            }
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Config(error) => Some(error),
            ServerError::Bind(_, error) | ServerError::Spawn(error) => Some(error),
            #[cfg(feature = "tls")]
            ServerError::Certificate(error) => Some(error),
            ServerError::Secret(error) => Some(error),
            ServerError::DispatcherPanicked => None,
        }
    }
}

/// A chat server that listens on its address. Clients are served by [`run`](Server::run).
pub struct Server {
    listener: Arc<TcpListener>,
    config: Config,
    shutdown: ShutdownHandle,
    secret: Option<SharedSecret>,
    #[cfg(feature = "tls")]
    certificate: Option<Certificate>,
}

impl Server {
    /// Listens on the configured address.
    ///
    /// # Errors
    ///
    /// The configuration is invalid, the certificate or the secret cannot be used, or the address is not available.
    pub fn bind(config: Config) -> Result<Server, ServerError> {
        config.validate().map_err(ServerError::Config)?;
        #[cfg(feature = "tls")]
        let certificate = (config.tls.clone().map(Certificate::load).transpose())
            .map_err(ServerError::Certificate)?;
        let secret = (config.secret.clone().map(SharedSecret::load).transpose())
            .map_err(ServerError::Secret)?;
        let cannot_bind = |error| ServerError::Bind(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(cannot_bind)?;
        // The standard library listens with 128: of a crowd that connects at once, the others would repeat their SYN after
        // one second and more. A socket that listens takes a new number. The cast cannot overflow: the number is validated.
        rustix::net::listen(&listener, config.listen_backlog as i32)
            .map_err(|error| cannot_bind(error.into()))?;
        let address = listener.local_addr().map_err(cannot_bind)?;
        let listener = Arc::new(listener);
        let shutdown = ShutdownHandle::new(&listener, address);
        Ok(Server {
            listener,
            config,
            shutdown,
            secret,
            #[cfg(feature = "tls")]
            certificate,
        })
    }

    /// Returns the certificate, if the server uses TLS, for reading its files again.
    #[cfg(feature = "tls")]
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// Returns the secret, if clients must know one, for reading its file again.
    pub fn secret(&self) -> Option<SharedSecret> {
        self.secret.clone()
    }

    /// Returns the address the server listens on, with the actual port if port 0 was configured.
    pub fn local_addr(&self) -> SocketAddr {
        self.shutdown.address()
    }

    /// Returns a handle that ends [`run`](Server::run).
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Serves clients until the server is shut down. The calling thread becomes the acceptor.
    ///
    /// # Errors
    ///
    /// The dispatcher could not be started, or panicked.
    pub fn run(self) -> Result<(), ServerError> {
        let at_end = ShutdownOnDrop(self.shutdown.clone());
        let (rooms, dispatchers) =
            Rooms::start(self.config.clone(), at_end).map_err(ServerError::Spawn)?;
        let mut admission = Admission::new(self.config, rooms.clone(), self.secret);
        #[cfg(feature = "tls")]
        admission.set_certificate(self.certificate);
        acceptor::run(&self.listener, &mut admission, &self.shutdown);
        drop(self.listener);
        drop(admission);
        rooms.shut_down();
        drop(rooms);
        dispatchers
            .join()
            .map_err(|_| ServerError::DispatcherPanicked)
    }
}
