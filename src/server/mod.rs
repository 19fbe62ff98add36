//! Accepting clients, and stopping.
//!
//! # The threads, and who waits for whom
//!
//! | thread | how many | waits for | ends when |
//! | --- | --- | --- | --- |
//! | acceptor | one, which calls [`Server::run`] | a client; at the end, room in the inbox and the dispatcher | stopped |
//! | head | one per request | its client, 10 seconds for the head and 4 to take the answer; for `/health` the dispatcher, 4 seconds | it has answered, or started a connection |
//! | connection | one per WebSocket | its client, its rate, or room in the dispatcher's inbox; with an echo, its own way out | the client has left or was cut off |
//! | dispatcher | one | its inbox | every sender to the inbox is gone |
//! | writer | one per client that has fallen behind | that client, 10 seconds without progress at most; then half a second for more to write | the client has caught up or was cut off |
//!
//! - The channels run in one direction, connection → dispatcher → outbound, so no two threads wait for each other.
//! - Only the dispatcher knows who is connected; no lock guards that list. It never waits for a client, so one that
//!   is stuck holds up nobody (`tests/stuck.rs`, `tests/slow.rs`).
//! - The inbox is bounded. A client that floods makes its own thread wait, and then its own TCP window fills
//!   (`tests/floods.rs`, `tests/floods_crowd.rs`, `tests/limits.rs`).
//! - Who logs does not wait for the log: a thread of the program's own writes it (`journal`, `tests/log.rs`).
//! - Who writes to a socket, and when, stands in `outbound` (its rules are tested in `src/outbound/tests.rs`).
//! - What one client does wrong, and a panic in its thread, ends that connection alone; a panic of the dispatcher ends
//!   the server (`tests/panics.rs`).
//! - All clients see one order, because one thread makes it (`tests/order.rs`, `tests/json.rs`).
//! - Stopping: the acceptor returns, and the unfinished heads are cut off; the dispatcher sends everybody a Close, and
//!   cuts off those who do not leave within their grace. As each connection's thread holds a sender to the inbox, the
//!   dispatcher ends with the last of them (`tests/stop.rs`, `tests/stop_crowd.rs`).
//! - The atomics in `admission` count places and ids, and decide once for each head whether it is given up
//!   (`tests/limits.rs`, `tests/heads_that_never_end.rs`).

mod admission;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use self::admission::Admission;
use crate::chat::dispatcher::{self, Event, MAX_BATCH_EVENTS};
use crate::config::{Config, UsageError};

/// What may wait for the dispatcher, in bytes, if it were only largest messages; but always eight events.
const INBOX_MAX_BYTES: usize = 64 << 20;

/// How many events those are. With few, connections queue up for room; with more than a batch takes, whoever speaks
/// beside a flood waits for several batches.
const INBOX_CAPACITY: RangeInclusive<usize> = 8..=MAX_BATCH_EVENTS;

/// How long the acceptor rests when the system has no descriptor or no memory for one more client.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a connection that only wakes the acceptor may take. It goes to this very machine.
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the log then says nothing more about it.
const ACCEPT_ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Why a server could not start, or ended before it was stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// An option makes no sense.
    Config(UsageError),
    /// The address can't be had.
    Bind(SocketAddr, io::Error),
    /// The system gave no thread for the dispatcher.
    Spawn(io::Error),
    /// The dispatcher panicked, so nobody can chat any more.
    Dispatcher,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => write!(f, "{error}"),
            ServerError::Bind(address, error) => write!(f, "can't listen on {address}: {error}"),
            ServerError::Spawn(error) => write!(f, "can't start a thread: {error}"),
            ServerError::Dispatcher => write!(f, "the dispatcher ended by an internal error"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Bind(_, error) | ServerError::Spawn(error) => Some(error),
            ServerError::Config(error) => Some(error),
            ServerError::Dispatcher => None,
        }
    }
}

/// A chat server that is bound to its address. Nobody is served before [`run`](Server::run).
pub struct Server {
    listener: Arc<TcpListener>,
    options: Config,
    stopper: ShutdownHandle,
}

/// Stops a server, from any thread.
#[derive(Clone)]
pub struct ShutdownHandle {
    listener: Weak<TcpListener>,
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
}

impl ShutdownHandle {
    /// Takes no more clients, closes all connections with code 1001, and lets [`Server::run`] return when all have
    /// left: they have 5 seconds to answer, and 2 more if what they answer is wrong. Returns at once. Calling it again
    /// changes nothing.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.upgrade() {
            // Ends an accept on Linux. Elsewhere a connection does, which nobody will serve.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            let _ = TcpStream::connect_timeout(&self.address, WAKE_TIMEOUT);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

impl Server {
    /// Listens on the address in the options.
    ///
    /// # Errors
    ///
    /// The options make no sense, or the address can't be had.
    pub fn bind(options: Config) -> Result<Server, ServerError> {
        options.check().map_err(ServerError::Config)?;
        let cant_bind = |error| ServerError::Bind(options.listen, error);
        let listener = TcpListener::bind(options.listen).map_err(cant_bind)?;
        let address = listener.local_addr().map_err(cant_bind)?;
        let listener = Arc::new(listener);
        let stopping = Arc::new(AtomicBool::new(false));
        let stopper = ShutdownHandle {
            listener: Arc::downgrade(&listener),
            address,
            stopping,
        };
        Ok(Server {
            listener,
            options,
            stopper,
        })
    }

    /// Where it listens, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.stopper.address
    }

    /// The means to end [`run`](Server::run). There may be any number.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.stopper.clone()
    }

    /// Serves until stopped. The calling thread becomes the acceptor.
    ///
    /// # Errors
    ///
    /// The dispatcher can't be started, or has panicked.
    pub fn run(self) -> Result<(), ServerError> {
        let (sender, inbox) = bounded(inbox_events(self.options.max_message));
        let dispatcher =
            spawn_dispatcher(inbox, self.stopper.clone()).map_err(ServerError::Spawn)?;
        let mut admission = Admission::new(self.options.clone(), sender.clone());
        self.accept_until_stopped(&mut admission);
        drop(self.listener);
        drop(admission);
        // Without a dispatcher there is nobody to tell, and nobody left to close.
        let _ = sender.send(Event::Stop);
        drop(sender);
        dispatcher.join().map_err(|_| ServerError::Dispatcher)
    }

    fn accept_until_stopped(&self, admission: &mut Admission) {
        let mut told: Option<Instant> = None;
        loop {
            let accepted = self.listener.accept();
            if self.stopper.is_stopping() {
                return;
            }
            match accepted {
                Ok((socket, peer)) => admission.admit(socket, peer),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if told.is_none_or(|at| at.elapsed() > ACCEPT_ERROR_LOG_INTERVAL) {
                        log::error!("can't accept: {error}; trying again every {ACCEPT_BACKOFF:?}");
                        told = Some(Instant::now());
                    }
                    // A head that takes its time is the first to go when the system runs out.
                    admission.give_up_oldest();
                    thread::sleep(ACCEPT_BACKOFF);
                }
            }
        }
    }
}

fn inbox_events(max_message: usize) -> usize {
    (INBOX_MAX_BYTES / max_message).clamp(*INBOX_CAPACITY.start(), *INBOX_CAPACITY.end())
}

/// The dispatcher's thread. However it ends, the server stops: without it nobody can chat.
fn spawn_dispatcher(inbox: Receiver<Event>, stopper: ShutdownHandle) -> io::Result<JoinHandle<()>> {
    struct StopAtEnd(ShutdownHandle);
    impl Drop for StopAtEnd {
        fn drop(&mut self) {
            self.0.shutdown();
        }
    }
    thread::Builder::new()
        .name("dispatcher".into())
        .spawn(move || {
            let _stop = StopAtEnd(stopper);
            dispatcher::run(&inbox);
        })
}

/// Errors of one connection that broke before it was accepted. Linux passes on what the network said of it (accept(2)).
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}
