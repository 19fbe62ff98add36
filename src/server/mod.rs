//! The server: its threads, and what each of them waits for.
//!
//! # Threads
//!
//! | thread | number | waits for | ends when |
//! | --- | --- | --- | --- |
//! | acceptor | one per address of `--listen`; the first is the caller of [`Server::run`] | the next client; during shutdown, the first one: room in each inbox, 1 s for pending handshakes, then the dispatchers | the server shuts down |
//! | handshake | one per pending request | its client: 10 s for the head, 4 s to accept the response and close; for `/health` the dispatchers: 4 s, for `/metrics` before that those of rooms without clients: 2 s; then 10 ms for the next client | the response is sent, or the connection's thread started, and no further client came |
//! | connection | one per WebSocket | bytes from its client, for at most the ping period or the time until its rate permits the next message; room in the inbox; for an echo client also its output; at the end 5 s for the client to accept the Close and 2 s to close | the client has disconnected |
//! | dispatcher | one for `/chat`, and one for each other room that has clients | its inbox | all senders of the inbox are dropped: its clients', and the registry's after the last client's visit |
//! | flush | with `--writers N`: up to N − 1 for each batch, with at least 500 clients for each thread | nothing | its part of the batch is sent; the dispatcher waits for that |
//! | append, read | with `--cluster`, one each per room | see `cluster` | see `cluster` |
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
//!   (`tests/rooms.rs`). The lock of the tally is taken when a dispatcher starts or ends, and for `/metrics`, whose thread
//!   waits for dispatchers that have no clients: nothing keeps these (`metrics_miss_no_room_that_ends`).
//! - The dispatcher never waits for a client, so a stalled or slow one delays no other (`tests/stalled_clients.rs`,
//!   `tests/slow_consumer.rs`).
//! - The inbox is bounded. A flooding client blocks its own thread, and then its TCP window fills
//!   (`tests/floods.rs`, `tests/flood_fanout.rs`, `tests/rate_limit.rs`).
//! - Writing to a client follows the rules of [`outbound`](crate::outbound) (`src/outbound/tests.rs`,
//!   `src/outbound/model.rs`). Bytes queued for a client are bounded (`tests/memory_bound.rs`).
//! - Logging never waits: the program's log writer has a thread of its own (`tests/log.rs`).
//! - An error of one client, or a panic in its threads, ends that connection alone. A panic of a room's dispatcher
//!   closes that room's connections, and one of `/chat`'s ends the server (`tests/panics.rs`, `tests/fuzz.rs`).
//! - Shutdown: the acceptors return and take no client that they do not serve. Pending handshakes have 1 s to complete, and
//!   are then evicted, so that a client that was accepted and sends its request at once gets an answer
//!   (`tests/listen.rs`, `tests/systemd.rs`). Each dispatcher sends its clients a Close, and aborts those that do not reply
//!   within 5 s. The threads of handshakes and connections hold senders of the inboxes, so the dispatchers end after the
//!   last of them (`tests/shutdown.rs`, `tests/rooms.rs`).
//! - TLS: the lock of [`net`](crate::net)'s state of a connection is held for computing only: by the connection's thread for
//!   what it has read, and by the holder of the writer's role for what it writes. The locks of the certificate and of the
//!   secret are held for exchanging a pointer. No thread waits for a socket or a file with one of them (`tests/tls_chat.rs`,
//!   `tests/tls_reload.rs`).
//! - Acceptors share the admission's lock, which is held for no longer than the start of a thread (`tests/listen.rs`). An
//!   acceptor never waits in accept(2): a listening socket can be shared with other processes, which take clients too.
//! - Locks and atomics outside of `outbound`: the atomic of [`permit`] counts connections; a lock there guards the limits of
//!   each address, and is taken once per join, and once per disconnect with `--max-per-address`; `claimed` in [`admission`]
//!   decides once for each pending handshake whether it is evicted; locks there count connection ids, and refusals for the
//!   log and for `/metrics`. None is held while waiting, and none is taken for a message (`tests/limits.rs`,
//!   `tests/slowloris.rs`, `tests/address_limits.rs`).

mod acceptor;
mod address_limits;
mod admission;
mod health;
mod pending;
mod permit;
mod refusal;
mod shutdown;
#[cfg(feature = "tls")]
mod tls_handshake;

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use self::admission::Admission;
pub use self::health::HealthHandle;
pub use self::shutdown::ShutdownHandle;
use self::shutdown::ShutdownOnDrop;
#[cfg(feature = "cluster")]
use crate::chat::replicate::ClusterError;
use crate::chat::rooms::{Dispatchers, Rooms};
#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::config::{Config, ConfigError, ListenAddress, SecretError};
use crate::http::secret::SharedSecret;
#[cfg(feature = "tls")]
use crate::net::certificate::{Certificate, CertificateError};
use crate::net::{Listener, Waker};

/// The reason why a server could not start, or ended without being shut down.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration is invalid.
    Config(ConfigError),
    /// The address is not available.
    Bind(ListenAddress, io::Error),
    /// The certificate cannot be used.
    #[cfg(feature = "tls")]
    Certificate(CertificateError),
    /// The secret cannot be used.
    Secret(SecretError),
    /// A thread of the server could not be started.
    Spawn(io::Error),
    /// The server cannot become part of a chat on several nodes.
    #[cfg(feature = "cluster")]
    Cluster(ClusterError),
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
            #[cfg(feature = "cluster")]
            ServerError::Cluster(error) => write!(f, "{error}"),
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
            #[cfg(feature = "cluster")]
            ServerError::Cluster(error) => Some(error),
            ServerError::DispatcherPanicked => None,
        }
    }
}

/// A chat server that listens on its addresses. Clients are served by [`run`](Server::run).
pub struct Server {
    listeners: Vec<Listener>,
    config: Config,
    rooms: Rooms,
    dispatchers: Dispatchers,
    shutdown: ShutdownHandle,
    health: HealthHandle,
    secret: Option<SharedSecret>,
    #[cfg(feature = "tls")]
    certificate: Option<Certificate>,
}

impl Server {
    /// Listens on the configured addresses.
    ///
    /// # Errors
    ///
    /// The configuration is invalid, the certificate, the secret or the log that several nodes share cannot be used, an
    /// address is not available, or a thread cannot be started.
    pub fn bind(config: Config) -> Result<Server, ServerError> {
        Server::new(config, bind_all)
    }

    /// Uses listeners that exist already, at least one, in place of the configured addresses.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Server::bind), without the addresses.
    pub fn with_listeners(config: Config, listeners: Vec<Listener>) -> Result<Server, ServerError> {
        Server::new(config, |_| Ok(listeners))
    }

    fn new(
        config: Config,
        listen: impl FnOnce(&Config) -> Result<Vec<Listener>, ServerError>,
    ) -> Result<Server, ServerError> {
        config.validate().map_err(ServerError::Config)?;
        #[cfg(feature = "tls")]
        let certificate = (config.tls.clone().map(Certificate::load).transpose())
            .map_err(ServerError::Certificate)?;
        let secret = (config.secret.clone().map(SharedSecret::load).transpose())
            .map_err(ServerError::Secret)?;
        let listeners = listen(&config)?;
        let waker =
            Waker::new(listeners.iter().map(Listener::address)).map_err(ServerError::Spawn)?;
        let shutdown = ShutdownHandle::new(waker);
        let at_end = ShutdownOnDrop(shutdown.clone());
        let (rooms, dispatchers) =
            Rooms::start(config.clone(), at_end).map_err(ServerError::Spawn)?;
        #[cfg(feature = "cluster")]
        let rooms = join_cluster(rooms, &config)?;
        let health = HealthHandle(rooms.downgrade());
        Ok(Server {
            listeners,
            config,
            rooms,
            dispatchers,
            shutdown,
            health,
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

    /// Returns the addresses that the server listens on, in the order of the configuration, with the actual port if port 0
    /// was configured.
    pub fn local_addrs(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listeners.iter().map(Listener::address)
    }

    /// Returns the secret, if clients must know one, for reading its file again.
    pub fn secret(&self) -> Option<SharedSecret> {
        self.secret.clone()
    }

    /// Returns a handle that ends [`run`](Server::run).
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Returns a handle that checks whether the server responds.
    pub fn health_handle(&self) -> HealthHandle {
        self.health.clone()
    }

    /// Serves clients until the server is shut down. The calling thread becomes the acceptor of the first address.
    ///
    /// # Errors
    ///
    /// A thread could not be started, or the dispatcher panicked.
    pub fn run(self) -> Result<(), ServerError> {
        let rooms = self.rooms;
        let admission = Admission::new(self.config, rooms.clone(), self.secret);
        #[cfg(feature = "tls")]
        let admission = admission.with_certificate(self.certificate);
        let admission = Mutex::new(admission);
        let accepted = acceptor::run(&self.listeners, &admission, &self.shutdown);
        drop(self.listeners);
        rooms.shut_down();
        // After a panic of an acceptor this is not reached.
        let admission = admission.into_inner();
        admission.unwrap_or_else(PoisonError::into_inner).finish();
        drop(rooms);
        let ended = self.dispatchers.join();
        accepted.map_err(ServerError::Spawn)?;
        ended.map_err(|_| ServerError::DispatcherPanicked)
    }
}

/// Makes the rooms part of the log that several nodes share, if there is one.
#[cfg(feature = "cluster")]
fn join_cluster(rooms: Rooms, config: &Config) -> Result<Rooms, ServerError> {
    let Some(address) = &config.cluster else {
        return Ok(rooms);
    };
    let cluster = Cluster::new(address.clone(), config);
    rooms
        .replicated(Box::new(cluster))
        .map_err(ServerError::Cluster)
}

/// Listens on all configured addresses.
fn bind_all(config: &Config) -> Result<Vec<Listener>, ServerError> {
    let all = &config.listen;
    let bind = |address: &ListenAddress| {
        Listener::bind(address, all, config.listen_backlog)
            .map_err(|error| ServerError::Bind(address.clone(), error))
    };
    all.iter().map(bind).collect()
}
