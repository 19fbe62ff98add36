//! Admission of clients: from an accepted socket to the thread of a WebSocket, or to a response that refuses it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use tungstenite::handshake::server::Request;
use tungstenite::http::HeaderValue;

use super::pending::Pending;
use super::permit::{ConnectionLimit, ConnectionPermit};
use super::refusal::{Refusal, RefusalLog};
#[cfg(feature = "tls")]
use super::tls_handshake;
use crate::chat::join::{ConnectionId, Endpoint};
use crate::chat::rooms::{EnterError, Rooms, Visit};
use crate::config::{
    CLIENT_STACK_SIZE, Config, HANDSHAKE_THREAD_IDLE_TIMEOUT, HEADER_READ_TIMEOUT,
    MIN_PENDING_HANDSHAKES, PENDING_GRACE,
};
use crate::connection::{Connection, Opening};
use crate::http::head::{RequestError, read_head};
use crate::http::response::{HttpResponse, OUT_OF_THREADS};
use crate::http::router::{self, Route};
use crate::http::secret::SharedSecret;
use crate::http::upgrade::Upgrade;
use crate::metrics::{Counts, Report};
#[cfg(feature = "tls")]
use crate::net::certificate::Certificate;
use crate::net::{Peer, Stream, forwarded};
use crate::outbound::{Outbound, running_writers};

/// The state that the threads of all handshakes share.
struct Shared {
    config: Config,
    rooms: Rooms,
    secret: Option<SharedSecret>,
    connections: ConnectionLimit,
    refusals: RefusalLog,
    /// The refused requests by status.
    rejected: Mutex<Counts>,
    /// Not an atomic: processors of small 32-bit hosts have none of 64 bits.
    next_id: Mutex<ConnectionId>,
}

impl Shared {
    fn next_id(&self) -> ConnectionId {
        // A poisoned lock guards a complete number.
        let mut next_id = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        *next_id += 1;
        *next_id
    }

    /// Sends a response, as [`HttpResponse::send`] does, and counts it if it refuses the request.
    fn respond(&self, stream: &Stream, response: &HttpResponse) {
        if let Some(code) = response.refusal_code() {
            self.count_rejected(code);
        }
        response.send(stream);
    }

    fn count_rejected(&self, code: &'static str) {
        *self.rejected().entry(code).or_default() += 1;
    }

    fn rejected(&self) -> MutexGuard<'_, Counts> {
        // A poisoned lock guards complete numbers.
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the text for `GET /metrics`. Waits for the dispatchers. Returns `None` if one does not reply.
    fn metrics(&self) -> Option<String> {
        let (rooms, chat) = self.rooms.metrics()?;
        let report = Report {
            chat,
            rooms,
            writers: running_writers(),
            rejected: self.rejected().clone(),
            #[cfg(feature = "cluster")]
            cluster: self.rooms.cluster_metrics(),
        };
        Some(report.format())
    }
}

/// A client whose request is being read or answered.
struct PendingHandshake {
    stream: Stream,
    /// Set once: by the acceptor, which evicts the client, or by the client's thread, which opens a WebSocket.
    claimed: AtomicBool,
    /// Is dropped when the handshake has ended.
    _running: Sender<()>,
}

impl PendingHandshake {
    /// Claims the socket. Only the first caller gets true, and owns the socket from then on.
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::Relaxed)
    }

    fn evict(&self) {
        if self.claim() {
            log::debug!("{}: evicting a pending handshake", self.stream.peer());
            self.stream.shutdown();
        }
    }
}

/// The acceptor's view of the clients whose handshakes are pending.
pub(super) struct Admission {
    shared: Arc<Shared>,
    /// The pending handshakes and some that are complete.
    pending: Pending<Weak<PendingHandshake>>,
    /// A channel without capacity: sending succeeds if a handshake's thread waits for its next client.
    handshakes: (
        Sender<Arc<PendingHandshake>>,
        Receiver<Arc<PendingHandshake>>,
    ),
    /// A channel that is disconnected when all handshakes have ended, and this sender is dropped.
    running: (Sender<()>, Receiver<()>),
    #[cfg(feature = "tls")]
    certificate: Option<Certificate>,
}

impl Admission {
    pub(super) fn new(config: Config, rooms: Rooms, secret: Option<SharedSecret>) -> Admission {
        let connections = ConnectionLimit::new(&config);
        Admission {
            shared: Arc::new(Shared {
                config,
                rooms,
                secret,
                connections,
                refusals: RefusalLog::default(),
                rejected: Mutex::default(),
                next_id: Mutex::new(0),
            }),
            pending: Pending::new(),
            handshakes: bounded(0),
            running: bounded(0),
            #[cfg(feature = "tls")]
            certificate: None,
        }
    }

    /// Admits further clients with TLS, if there is a certificate.
    #[cfg(feature = "tls")]
    pub(super) fn with_certificate(self, certificate: Option<Certificate>) -> Admission {
        Admission {
            certificate,
            ..self
        }
    }

    /// Starts the thread of a client's handshake. If too many handshakes are pending, one is evicted: the oldest of the
    /// address that has most. A regular client completes its handshake in a moment, in which others would have to begin as
    /// many from as many addresses.
    pub(super) fn admit(&mut self, stream: Stream) {
        let peer = stream.peer();
        let max_pending = self
            .shared
            .config
            .max_connections
            .max(MIN_PENDING_HANDSHAKES);
        if self.pending.is_due_for_pruning() {
            self.forget_complete();
        }
        if self.pending.len() >= max_pending {
            self.evict_one();
        }
        #[cfg(feature = "tls")]
        // What crosses a Unix socket does not leave the machine.
        let certificate = (self.certificate.as_ref()).filter(|_| matches!(peer, Peer::Tcp(_)));
        #[cfg(feature = "tls")]
        let stream = match certificate.map(Certificate::new_connection) {
            None => stream,
            Some(Ok(tls)) => stream.with_tls(tls),
            Some(Err(error)) => {
                let refusal = Refusal::NoResources(error.to_string());
                return self.shared.refusals.log(peer, &refusal);
            }
        };
        let handshake = Arc::new(PendingHandshake {
            stream,
            claimed: AtomicBool::new(false),
            _running: self.running.0.clone(),
        });
        self.pending.push(peer.ip(), Arc::downgrade(&handshake));
        // Only a thread that waits takes a handshake, so that none is behind a slow one.
        let Err(error) = self.handshakes.0.try_send(handshake) else {
            return;
        };
        let handshake = error.into_inner();
        let (first, shared) = (Arc::clone(&handshake), Arc::clone(&self.shared));
        let next = self.handshakes.1.clone();
        let thread = thread::Builder::new()
            .name("handshake".into())
            .stack_size(CLIENT_STACK_SIZE);
        if let Err(error) = thread.spawn(move || handle_handshakes(first, &next, &shared)) {
            let refusal = Refusal::NoResources(format!("no thread: {error}"));
            self.shared.refusals.log(peer, &refusal);
            self.shared.count_rejected("503");
            handshake.stream.write_last_nonblocking(OUT_OF_THREADS);
        }
    }

    /// Admits no further clients. Waits up to [`PENDING_GRACE`] for the pending handshakes, and then evicts the others.
    pub(super) fn finish(self) {
        let (running, ended) = self.running;
        drop(running);
        let _disconnected = ended.recv_timeout(PENDING_GRACE);
        self.pending
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|handshake| handshake.evict());
    }

    fn forget_complete(&mut self) {
        self.pending
            .retain(|handshake| handshake.strong_count() > 0);
    }

    /// Forgets complete handshakes. If none is complete, evicts the oldest one of the address that has most.
    pub(super) fn evict_one(&mut self) {
        let before = self.pending.len();
        self.forget_complete();
        if self.pending.len() == before
            && let Some(handshake) = self.pending.pop().and_then(|handshake| handshake.upgrade())
        {
            handshake.evict();
        }
    }
}

/// Handles handshakes, until no further one comes for a moment. The whole work of a handshake's thread.
fn handle_handshakes(
    first: Arc<PendingHandshake>,
    next: &Receiver<Arc<PendingHandshake>>,
    shared: &Arc<Shared>,
) {
    let mut handshake = first;
    loop {
        handle_handshake(&handshake, shared);
        // Ends the handshake before the wait for the next one.
        drop(handshake);
        match next.recv_timeout(HANDSHAKE_THREAD_IDLE_TIMEOUT) {
            Ok(next) => handshake = next,
            Err(_) => return,
        }
    }
}

/// Reads one request and answers it, after the handshake of TLS.
fn handle_handshake(handshake: &PendingHandshake, shared: &Arc<Shared>) {
    let stream = &handshake.stream;
    let mut peer = stream.peer();
    let deadline = Instant::now() + HEADER_READ_TIMEOUT;
    #[cfg(feature = "tls")]
    let respond = |plain: &_, response: &_| shared.respond(plain, response);
    #[cfg(feature = "tls")]
    if !tls_handshake::accept(stream, deadline, &shared.refusals, respond) {
        return;
    }
    let response = match read_head(stream, deadline) {
        Ok((request, already_read)) => {
            peer = client_address(&request, peer, &shared.config);
            match router::route(request, &shared.config, shared.secret.as_ref()) {
                Route::Upgrade(upgrade) => {
                    return open_connection(handshake, peer, shared, upgrade, already_read);
                }
                Route::WrongOrigin { origin, response } => {
                    shared.refusals.log(peer, &Refusal::WrongOrigin(origin));
                    response
                }
                Route::WrongSecret(response) => {
                    shared.refusals.log(peer, &Refusal::WrongSecret);
                    response
                }
                Route::Health => HttpResponse::health(shared.rooms.are_healthy()),
                Route::Metrics => HttpResponse::metrics(shared.metrics()),
                Route::Response(response) => response,
            }
        }
        Err(RequestError::Rejected(response)) => response,
        Err(RequestError::Tls) => return shared.refusals.log(peer, &Refusal::TlsOnPlainPort),
        Err(RequestError::Disconnected) => {
            return log::debug!("{peer} disconnected without a request");
        }
    };
    log::debug!("{peer}: {response:?}");
    shared.respond(stream, &response);
}

/// Returns the client's address: the one that a trusted proxy forwards, or the peer's.
fn client_address(request: &Request, peer: Peer, config: &Config) -> Peer {
    if config.trusted_proxy.is_empty() {
        return peer;
    }
    let lines = request.headers().get_all("x-forwarded-for");
    // A HeaderMap keeps the order of the lines, but its iterator has one direction.
    let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    forwarded::client_address(peer, lines.into_iter(), &config.trusted_proxy)
}

/// A connection with what it holds until it ends. The thread keeps it in a box: by value, two frames of the thread's stack
/// would have a copy.
struct Admitted {
    connection: Connection,
    shared: Arc<Shared>,
    _visit: Visit,
    _permit: ConnectionPermit,
}

/// Starts the connection's thread if a permit is available, and rejects the client otherwise.
///
/// The connection gets a new thread because reading a head touches four pages of stack, which this thread would keep. The
/// new one touches two.
fn open_connection(
    handshake: &PendingHandshake,
    peer: Peer,
    shared: &Arc<Shared>,
    upgrade: Upgrade,
    already_read: Vec<u8>,
) {
    let stream = &handshake.stream;
    let (permit, visit) = match admit(peer, shared, &upgrade) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            shared.refusals.log(peer, &refusal);
            return shared.respond(stream, &refusal.response());
        }
    };
    let reject = |error: io::Error| {
        let refusal = Refusal::NoResources(error.to_string());
        shared.refusals.log(peer, &refusal);
        shared.respond(stream, &refusal.response());
    };
    let outbound = stream
        .set_nodelay()
        .and_then(|()| stream.try_clone(peer))
        .and_then(|stream| Outbound::new(stream, shared.config.backlog_limit()));
    let outbound = match outbound {
        Ok(outbound) => outbound,
        Err(error) => return reject(error),
    };
    // The acceptor has evicted the client, or leaves it alone from now on.
    if !handshake.claim() {
        return;
    }
    let admitted = Box::new(Admitted {
        connection: Connection {
            id: shared.next_id(),
            outbound,
            inbox: visit.inbox.clone(),
            is_timed: shared.config.metrics,
        },
        shared: Arc::clone(shared),
        _visit: visit,
        _permit: permit,
    });
    let opening = Box::new(Opening {
        response: upgrade.response,
        endpoint: upgrade.endpoint,
        already_read,
    });
    let thread = thread::Builder::new()
        .name("connection".into())
        .stack_size(CLIENT_STACK_SIZE);
    let run = move || admitted.connection.run(opening, &admitted.shared.config);
    let spawned = thread.spawn(run);
    if let Err(error) = spawned {
        reject(error);
    }
}

/// Returns the permission for one more connection, and its presence in the room.
fn admit(
    peer: Peer,
    shared: &Shared,
    upgrade: &Upgrade,
) -> Result<(ConnectionPermit, Visit), Refusal> {
    let permit = shared.connections.try_acquire(peer.ip())?;
    if let Endpoint::Echo = upgrade.endpoint {
        return Ok((permit, shared.rooms.enter_echo()));
    }
    let visit = shared
        .rooms
        .enter(upgrade.room.as_ref())
        .map_err(|error| match error {
            EnterError::RoomLimit(max) => Refusal::RoomLimit(max),
            EnterError::Spawn(error) => Refusal::NoResources(error.to_string()),
            EnterError::Away => Refusal::Away,
        })?;
    Ok((permit, visit))
}
