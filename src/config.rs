//! The configuration of a server, and its fixed limits.

#[cfg(feature = "cluster")]
mod cluster_address;
mod listen_address;
mod secret;
mod trusted_proxy;

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "cluster")]
pub use self::cluster_address::{ClusterAddress, RedisServer};
pub use self::listen_address::ListenAddress;
pub use self::secret::{Secret, SecretError};
pub use self::trusted_proxy::{AddressRange, TrustedProxy};

/// The largest value of [`Config::max_message`] in bytes. A connection reserves the memory that a frame's header
/// announces, and a server without the address space for it would abort.
pub const MAX_MESSAGE_LIMIT: usize = 256 << 20;

/// The largest value of [`Config::listen_backlog`]: Linux keeps the number in 16 bits (listen(2)).
pub const MAX_LISTEN_BACKLOG: u32 = 65535;

/// The largest value of [`Config::writers`]. Parts of 500 clients for more would be more clients than threads can serve.
pub const MAX_WRITERS: usize = 64;

/// The largest value of [`Config::max_rooms`]. Each room is a thread, and more than that would not fit into the address space
/// of a 32-bit board.
pub const MAX_ROOMS_LIMIT: usize = 500;

/// The largest value of [`Config::history`]. A newcomer would not read more.
pub const MAX_HISTORY: usize = 10_000;

/// The stack of each thread that serves a client, in bytes. It is address space, of which only touched pages become
/// memory, and small enough for thousands of threads in the 3 GiB of a 32-bit board. Without optimization, frames are several
/// times larger.
pub(crate) const CLIENT_STACK_SIZE: usize = if cfg!(debug_assertions) {
    1 << 20
} else {
    256 << 10
};

/// The time for a whole request head. A client that sends one byte per second would otherwise hold a thread for hours.
pub(crate) const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which the thread of a handshake waits for another one. A crowd of clients that joins at once is greeted in
/// four fifths of the time that new threads would take.
pub(crate) const HANDSHAKE_THREAD_IDLE_TIMEOUT: Duration = Duration::from_millis(10);

/// The largest request head in bytes. Browsers stay under half of it, cookies included.
pub(crate) const MAX_HEAD_SIZE: usize = 8 << 10;

/// The time for a client to accept an HTTP response, and the same time to close.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for pending requests to complete when the server shuts down. A client that connected just before is answered.
pub(crate) const PENDING_GRACE: Duration = Duration::from_secs(1);

/// The time for `/health` to wait for room in the dispatcher's inbox, and again for the reply.
pub(crate) const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The smallest limit on pending handshakes, for a small `max_connections`: a browser alone opens half a dozen.
pub(crate) const MIN_PENDING_HANDSHAKES: usize = 64;

/// WebSockets that one address can open at once after a pause. A class or an office behind one address gets in together.
pub(crate) const JOIN_BURST: u32 = 100;

/// The time after which an address that has used up its burst can open one more WebSocket. A client that joins and leaves
/// as fast as it can causes notices to all others.
pub(crate) const JOIN_INTERVAL: Duration = Duration::from_millis(200);

/// The time between two log lines about refused clients, for each kind of refusal.
pub(crate) const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Memory bound of the inbox in bytes, assuming messages of the largest size.
const INBOX_MAX_BYTES: usize = 64 << 20;

/// Capacity of the inbox in events. With fewer events, connections wait for space. With more than a batch takes, a
/// client waits for several batches while another one floods the inbox.
const INBOX_CAPACITY: RangeInclusive<usize> = 8..=MAX_BATCH_EVENTS;

/// The part of the inboxes' capacity that a room other than `/chat` has: with many rooms, all of them would hold gigabytes.
/// 32 clients that send as fast as they can deliver a tenth less that way.
const ROOM_INBOX_DIVISOR: usize = 8;

/// The largest history of a room in bytes.
const MAX_HISTORY_SIZE: usize = 1 << 20;

/// A batch ends with this many bytes of frames: enough to be worth one write per client, and few enough for the
/// socket buffer of a client that reads.
pub(crate) const MAX_BATCH_BYTES: usize = 64 << 10;

/// A batch ends with this many events: about as many short messages as fill [`MAX_BATCH_BYTES`]. Events for one client
/// alone would otherwise never fill a batch.
pub(crate) const MAX_BATCH_EVENTS: usize = 1024;

/// The time for a client that has fallen behind to accept at least one byte.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for a client to reply to a Close of the dispatcher.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for a client to receive a last Close and to close its side.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The send buffer of a WebSocket in bytes, as given to the system, which may double it for its own bookkeeping, as Linux
/// does. A Ping waits behind what it holds, and it is memory of the kernel for each client that does not read. Four
/// batches fit into the undoubled size, so a client that reads is not left to a writer thread.
pub(crate) const SEND_BUFFER_SIZE: usize = 4 * MAX_BATCH_BYTES;

/// The time after which the kernel resets an open WebSocket whose client acknowledges nothing, or keeps its window closed.
/// About as long as two periods of the default [`Config::ping`].
pub(crate) const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The same after the end of a connection, when the kernel alone holds what the client has not taken yet.
pub(crate) const ORPHAN_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The addresses to listen on, at least one. Port 0 selects a free port.
    pub listen: Vec<ListenAddress>,
    /// The number of threads that send a batch to at least 500 clients for each of them: 1 to 64.
    pub writers: usize,
    /// The number of clients that the system keeps waiting to be accepted: 1 to [`MAX_LISTEN_BACKLOG`]. The system can have
    /// a smaller limit (`net.core.somaxconn` on Linux).
    pub listen_backlog: u32,
    /// The largest number of open WebSockets, at least 1.
    pub max_connections: usize,
    /// The largest number of open WebSockets from one address, or from one /64 of IPv6. `None`: no limit.
    pub max_per_address: Option<usize>,
    /// The largest number of rooms with users, apart from `/chat`: 0 to [`MAX_ROOMS_LIMIT`].
    pub max_rooms: usize,
    /// The number of messages and actions that a newcomer to a room receives: 0 to [`MAX_HISTORY`].
    pub history: usize,
    /// The largest message accepted from a client, in bytes: 1 to [`MAX_MESSAGE_LIMIT`].
    pub max_message: usize,
    /// The most bytes that can be queued for one client. `None`: [`Config::backlog_limit`] derives it.
    pub max_backlog: Option<usize>,
    /// Idle time before a Ping. After another such period without a byte the client is disconnected. `None`: no Pings.
    pub ping: Option<Duration>,
    /// Messages per second that one client can send, which is also the largest burst. `None`: no limit.
    pub rate_limit: Option<u32>,
    /// The values of `Origin` that can open a WebSocket. Empty: all. A request without `Origin` is always allowed.
    pub allow_origin: Vec<String>,
    /// The secret that clients must know. `None`: all clients may come in.
    pub secret: Option<Secret>,
    /// Whether `GET /metrics` is served, and what it tells is counted.
    pub metrics: bool,
    /// The reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxy: Vec<TrustedProxy>,
    /// The certificate for TLS. `None`: no TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
    /// The log that this node shares with others, so that they form one chat. `None`: this server is alone.
    #[cfg(feature = "cluster")]
    pub cluster: Option<ClusterAddress>,
}

/// The files of a certificate and its private key, both in PEM format.
#[cfg(feature = "tls")]
#[derive(Debug, Clone, PartialEq)]
pub struct TlsFiles {
    /// The certificate, followed by those of the authorities between it and a known one.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080)).into()],
            writers: 1,
            listen_backlog: 4096,
            max_connections: 1000,
            max_per_address: None,
            max_rooms: 64,
            history: 0,
            max_message: 64 << 10,
            max_backlog: None,
            ping: Some(Duration::from_secs(15)),
            rate_limit: None,
            allow_origin: Vec::new(),
            secret: None,
            metrics: false,
            trusted_proxy: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "cluster")]
            cluster: None,
        }
    }
}

impl Config {
    /// Returns the most bytes that can be queued for one client: `max_backlog`, or 1 MiB, or four times `max_message` if
    /// that is more.
    pub fn backlog_limit(&self) -> usize {
        self.max_backlog
            .unwrap_or_else(|| self.max_message.saturating_mul(4).max(1 << 20))
    }

    /// Checks that a server can work with these values.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let min_backlog = self.min_backlog();
        let invalid = |problem: String| Err(ConfigError(problem));
        if self.listen.is_empty() {
            return invalid("--listen needs an address".into());
        }
        if !(1..=MAX_WRITERS).contains(&self.writers) {
            return invalid(format!("--writers must be 1 to {MAX_WRITERS}"));
        }
        if !(1..=MAX_LISTEN_BACKLOG).contains(&self.listen_backlog) {
            return invalid(format!(
                "--listen-backlog must be 1 to {MAX_LISTEN_BACKLOG}"
            ));
        }
        if self.max_connections == 0 {
            return invalid("--max-connections must be at least 1".into());
        }
        if self.max_per_address == Some(0) {
            return invalid("--max-per-address must be at least 1, or none".into());
        }
        if self.max_rooms > MAX_ROOMS_LIMIT {
            return invalid(format!("--max-rooms must be at most {MAX_ROOMS_LIMIT}"));
        }
        if self.history > MAX_HISTORY {
            return invalid(format!("--history must be at most {MAX_HISTORY}"));
        }
        if !(1..=MAX_MESSAGE_LIMIT).contains(&self.max_message) {
            return invalid(format!("--max-message must be 1 to {MAX_MESSAGE_LIMIT}"));
        }
        if self.ping == Some(Duration::ZERO) {
            return invalid("--ping must be at least 1 second, or none".into());
        }
        if self.rate_limit == Some(0) {
            return invalid("--rate-limit must be at least 1, or none".into());
        }
        if self.backlog_limit() < min_backlog {
            return invalid(format!(
                "--max-backlog must be at least {min_backlog} with this --max-message"
            ));
        }
        Ok(())
    }

    /// Returns the smallest backlog that works. A full batch must fit, followed by a message of the largest size, which
    /// doubles if JSON escapes each of its characters. Otherwise one such message would disconnect every client.
    fn min_backlog(&self) -> usize {
        self.max_message
            .saturating_mul(2)
            .saturating_add(2 * MAX_BATCH_BYTES)
    }

    /// Returns the most bytes of history that a room keeps: 1 MiB, but half of a client's backlog at most, so that a newcomer
    /// can queue it.
    pub(crate) fn history_limit(&self) -> usize {
        MAX_HISTORY_SIZE.min(self.backlog_limit() / 2)
    }

    /// Returns the capacity in events of the inbox of a room other than `/chat`.
    pub(crate) fn room_inbox_capacity(&self) -> usize {
        (self.inbox_capacity() / ROOM_INBOX_DIVISOR).max(*INBOX_CAPACITY.start())
    }

    /// Returns the capacity of the dispatcher's inbox in events.
    pub(crate) fn inbox_capacity(&self) -> usize {
        (INBOX_MAX_BYTES / self.max_message).clamp(*INBOX_CAPACITY.start(), *INBOX_CAPACITY.end())
    }
}

/// The reason why a configuration is invalid, in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
