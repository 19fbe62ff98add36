//! Accepting clients, admitting them, and stopping.
//!
//! # The threads, and who waits for whom
//!
//! | thread | how many | waits for | ends when |
//! | --- | --- | --- | --- |
//! | acceptor | one, which calls [`Server::run`] | a client; at the end, the dispatcher | stopped |
//! | head | one per request | its client, 10 seconds at most | it has answered, or started a connection |
//! | connection | one per WebSocket | its client, or room in the dispatcher's inbox | the client has left or was cut off |
//! | dispatcher | one | its inbox | every sender to the inbox is gone |
//! | writer | one per client that has fallen behind | that client, 10 seconds without progress at most | the client has caught up or was cut off |
//!
//! - The channels run in one direction, connection → dispatcher → outbound, so no two threads wait for each other.
//! - Only the dispatcher knows who is connected; no lock guards that list. It never waits for a client, so one that
//!   is stuck holds up nobody (`tests/stuck.rs`, `tests/slow.rs`).
//! - The inbox is bounded. A client that floods makes its own thread wait, and then its own TCP window fills
//!   (`tests/floods.rs`).
//! - Who writes to a socket, and when, stands in `outbound` (its rules are tested in `src/outbound/tests.rs`).
//! - What one client does wrong, and a panic in its thread, ends that connection alone; a panic of the dispatcher ends
//!   the server (`tests/panics.rs`).
//! - All clients see one order, because one thread makes it (`tests/order.rs`, `tests/json.rs`).
//! - Stopping: the acceptor returns, and the unfinished heads are cut off; the dispatcher sends everybody a Close, and
//!   cuts off those who do not leave within their grace. As each connection's thread holds a sender to the inbox, the
//!   dispatcher ends with the last of them (`tests/stop.rs`, `tests/stop_crowd.rs`).
//! - Two atomics count: places that are taken, and ids. Nothing is ordered by them.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::STACK_BYTES;
use crate::connection::{Connection, Purpose};
use crate::dispatcher::{self, Event, Newcomer};
use crate::http::{self, Answer, HeadError, Route, Upgrade};
use crate::options::Options;
use crate::outbound::Outbound;

/// What may wait for the dispatcher, in bytes, if it were only largest messages.
const INBOX_BYTES: usize = 16 << 20;

/// How many events those are. Few make the connections' threads wait for each other; more than a batch takes of short
/// messages make whoever speaks beside a flood wait behind all of them.
const INBOX_EVENTS: RangeInclusive<usize> = 8..=1024;

/// How long the acceptor rests when the system has no descriptor or no memory for one more client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the log says nothing more of that.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// How long `/health` waits for the dispatcher.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);

/// Why a server could not start, or ended before it was stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
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
            ServerError::Dispatcher => None,
        }
    }
}

/// A chat server that is bound to its address. Nobody is served before [`run`](Server::run).
pub struct Server {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    options: Options,
    stopper: Stopper,
    stopped: Receiver<()>,
}

/// Stops a server, from any thread.
#[derive(Clone)]
pub struct Stopper {
    listener: Weak<TcpListener>,
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    wake: Sender<()>,
}

impl Stopper {
    /// Takes no more clients, closes all connections with code 1001, and lets [`Server::run`] return when all have
    /// left, 5 seconds later at most. Returns at once. Calling it again changes nothing.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // A full channel has woken the acceptor already.
        let _ = self.wake.try_send(());
        if let Some(listener) = self.listener.upgrade() {
            // Ends an accept on Linux. Elsewhere a connection does, which nobody will serve.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            let _ = TcpStream::connect_timeout(&self.address, ACCEPT_PAUSE);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// What the threads of all connections share.
///
/// Every one of them holds the inbox by it, so the inbox is disconnected when the last has ended: that ends the
/// dispatcher, and with it the server.
struct Shared {
    options: Options,
    inbox: Sender<Event>,
    /// Open WebSockets.
    connections: AtomicUsize,
    next_id: AtomicU64,
}

/// A client whose head is being read. The acceptor keeps a weak one of each, to give up the oldest for the newest.
struct Pending {
    socket: TcpStream,
}

impl Server {
    /// Listens on the address in the options.
    ///
    /// # Errors
    ///
    /// The address can't be had.
    pub fn bind(options: Options) -> Result<Server, ServerError> {
        let refused = |error| ServerError::Bind(options.listen, error);
        let listener = TcpListener::bind(options.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let listener = Arc::new(listener);
        let (wake, stopped) = bounded(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let stopper = Stopper {
            listener: Arc::downgrade(&listener),
            address,
            stopping,
            wake,
        };
        Ok(Server {
            listener,
            address,
            options,
            stopper,
            stopped,
        })
    }

    /// Where it listens, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The means to end [`run`](Server::run). There may be any number.
    pub fn stopper(&self) -> Stopper {
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
        let shared = Arc::new(Shared {
            options: self.options.clone(),
            inbox: sender,
            connections: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
        });
        let pending = self.accept_until_stopped(&shared);
        drop(self.listener);
        pending
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|head| cut(&head.socket));
        // Without a dispatcher there is nobody to tell, and nobody left to close.
        let _ = shared.inbox.send(Event::Stop);
        drop(shared);
        dispatcher.join().map_err(|_| ServerError::Dispatcher)
    }

    /// Returns the heads that are still being read.
    fn accept_until_stopped(&self, shared: &Arc<Shared>) -> VecDeque<Weak<Pending>> {
        let mut pending: VecDeque<Weak<Pending>> = VecDeque::new();
        let mut told: Option<Instant> = None;
        loop {
            let accepted = self.listener.accept();
            if self.stopper.is_stopping() {
                return pending;
            }
            match accepted {
                Ok((socket, peer)) => {
                    make_room(&mut pending, shared.options.max_connections);
                    pending.extend(admit(socket, peer, shared));
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if told.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
                        log::error!("can't accept: {error}; trying again every {ACCEPT_PAUSE:?}");
                        told = Some(Instant::now());
                    }
                    // A head that takes its time is the first to go when the system runs out.
                    make_room(&mut pending, 0);
                    let _ = self.stopped.recv_timeout(ACCEPT_PAUSE);
                }
            }
        }
    }
}

fn inbox_events(max_message: usize) -> usize {
    (INBOX_BYTES / max_message).clamp(*INBOX_EVENTS.start(), *INBOX_EVENTS.end())
}

/// The dispatcher's thread. However it ends, the server stops: without it nobody can chat.
fn spawn_dispatcher(inbox: Receiver<Event>, stopper: Stopper) -> io::Result<JoinHandle<()>> {
    struct StopAtEnd(Stopper);
    impl Drop for StopAtEnd {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    thread::Builder::new()
        .name("dispatcher".into())
        .spawn(move || {
            let _stop = StopAtEnd(stopper);
            dispatcher::run(&inbox);
        })
}

/// Errors of one connection that broke before it was accepted (accept(2)).
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Forgets the heads that are read, and cuts off the oldest ones while there are `limit` or more and at least one.
fn make_room(pending: &mut VecDeque<Weak<Pending>>, limit: usize) {
    if pending.len() < limit {
        return;
    }
    pending.retain(|head| head.strong_count() > 0);
    if pending.len() >= limit
        && let Some(oldest) = pending.pop_front().and_then(|head| head.upgrade())
    {
        log::debug!("the oldest unfinished request gives way");
        cut(&oldest.socket);
    }
}

fn cut(socket: &TcpStream) {
    // An error means that the connection is gone already.
    let _ = socket.shutdown(Shutdown::Both);
}

/// Starts the thread that reads a client's head.
fn admit(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> Option<Weak<Pending>> {
    let pending = Arc::new(Pending { socket });
    let (head, shared) = (Arc::clone(&pending), Arc::clone(shared));
    let thread = thread::Builder::new()
        .name("head".into())
        .stack_size(STACK_BYTES);
    match thread.spawn(move || serve_head(head, peer, &shared)) {
        Ok(_) => Some(Arc::downgrade(&pending)),
        Err(error) => {
            log::error!("no thread for {peer}: {error}");
            let _ = http::refuse_now(&pending.socket);
            None
        }
    }
}

/// Reads one head and answers it. A WebSocket goes on in a thread of its own, whose stack this has not grown.
fn serve_head(head: Arc<Pending>, peer: SocketAddr, shared: &Arc<Shared>) {
    let answer = match http::read_head(&head.socket) {
        Ok((request, behind)) => match http::route(request, &shared.options) {
            Route::Upgrade(upgrade) => match open(&head, peer, shared, upgrade, behind) {
                Ok(()) => return,
                Err(answer) => answer,
            },
            Route::Health => Answer::health(dispatcher_is_well(&shared.inbox)),
            Route::Answer(answer) => answer,
        },
        Err(HeadError::Refused(answer)) => answer,
        Err(HeadError::Gone) => return log::debug!("{peer} sent no request"),
    };
    log::debug!("{peer}: {answer:?}");
    answer.send(&head.socket);
}

fn dispatcher_is_well(inbox: &Sender<Event>) -> bool {
    let (answer, answered) = bounded(1);
    inbox
        .send_timeout(Event::Health(answer), HEALTH_DEADLINE)
        .is_ok()
        && answered.recv_timeout(HEALTH_DEADLINE).is_ok()
}

/// One of the WebSockets that may be open, until it is dropped.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let place = Place(Arc::clone(shared));
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        (before < shared.options.max_connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts the thread of a WebSocket.
fn open(
    head: &Pending,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    upgrade: Upgrade,
    behind: Vec<u8>,
) -> Result<(), Answer> {
    let Some(place) = Place::take(shared) else {
        log::warn!(
            "{peer} refused: {} clients are here",
            shared.options.max_connections
        );
        return Err(Answer::busy(
            "as many clients as allowed are here; try again later\n",
        ));
    };
    let no_resources = |error: io::Error| {
        log::error!("{peer} refused: {error}");
        Answer::busy("the server has no room for one more client; try again later\n")
    };
    let Upgrade {
        response,
        dialect,
        name,
    } = upgrade;
    let outbound = head.socket.try_clone().and_then(|socket| {
        socket.set_nodelay(true)?;
        Outbound::new(socket, peer, shared.options.backlog())
    });
    let outbound = outbound.map_err(no_resources)?;
    let connection = Connection {
        id: shared.next_id.fetch_add(1, Ordering::Relaxed),
        outbound: Arc::clone(&outbound),
        purpose: dialect.map_or(Purpose::Echo, |dialect| {
            Purpose::Chat(Newcomer { dialect, name })
        }),
        already_read: behind,
        inbox: shared.inbox.clone(),
    };
    let thread = thread::Builder::new()
        .name("connection".into())
        .stack_size(STACK_BYTES);
    let run = move || {
        outbound.send(response.into());
        connection.run(&place.0.options);
    };
    thread.spawn(run).map(|_| ()).map_err(no_resources)
}
