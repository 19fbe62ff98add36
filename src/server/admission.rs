//! From an accepted socket to the thread of a WebSocket: who gets in, and who is turned away.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::CLIENT_STACK_SIZE;
use crate::chat::dispatcher::Event;
use crate::config::Config;
use crate::connection::Connection;
use crate::http::{self, Answer, HeadError, Route, Upgrade};
use crate::outbound::Outbound;

/// Requests that may be unfinished at a time, however few WebSockets may be open: a browser alone has half a dozen.
const MIN_PENDING_HANDSHAKES: usize = 64;

/// How long `/health` waits for room in the dispatcher's inbox, and then for the answer.
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the threads of all heads and connections share.
struct Shared {
    options: Config,
    inbox: Sender<Event>,
    /// Open WebSockets.
    connections: AtomicUsize,
    next_id: AtomicU64,
}

/// A client whose request is being read or answered.
struct Head {
    socket: TcpStream,
    /// Set once: by the acceptor, which gives it up, or by its own thread, which makes it a WebSocket.
    decided: AtomicBool,
}

impl Head {
    /// True for the first who asks: the socket is that one's to go on with.
    fn decide(&self) -> bool {
        !self.decided.swap(true, Ordering::Relaxed)
    }

    fn give_up(&self) {
        if self.decide() {
            log::debug!("an unfinished request gives way");
            // An error means that the connection is gone already.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// The acceptor's view of those who come.
pub(crate) struct Admission {
    shared: Arc<Shared>,
    /// The requests that are unfinished, and some that are not any more; the oldest first.
    heads: VecDeque<Weak<Head>>,
}

/// At the end nobody gets in any more.
impl Drop for Admission {
    fn drop(&mut self) {
        self.heads
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|head| head.give_up());
    }
}

impl Admission {
    pub(crate) fn new(options: Config, inbox: Sender<Event>) -> Admission {
        let shared = Shared {
            options,
            inbox,
            connections: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
        };
        Admission {
            shared: Arc::new(shared),
            heads: VecDeque::new(),
        }
    }

    /// Starts the thread that reads a client's head. When as many are unfinished as may be, the oldest gives way. A
    /// real client is done in a moment; to push it out, others would have to begin that many requests in that moment.
    pub(crate) fn admit(&mut self, socket: TcpStream, peer: SocketAddr) {
        if self.heads.len()
            >= self
                .shared
                .options
                .max_connections
                .max(MIN_PENDING_HANDSHAKES)
        {
            self.give_up_oldest();
        }
        let head = Arc::new(Head {
            socket,
            decided: AtomicBool::new(false),
        });
        let (served, shared) = (Arc::clone(&head), Arc::clone(&self.shared));
        let thread = thread::Builder::new()
            .name("head".into())
            .stack_size(CLIENT_STACK_SIZE);
        match thread.spawn(move || serve(served, peer, &shared)) {
            Ok(_) => self.heads.push_back(Arc::downgrade(&head)),
            Err(error) => {
                log::error!("no thread for {peer}: {error}");
                // Nothing is waited for, so the client may not get it.
                let _ = http::refuse_now(&head.socket);
            }
        }
    }

    /// Forgets those that are finished, and gives up the oldest of the others if they are still as many.
    pub(crate) fn give_up_oldest(&mut self) {
        let before = self.heads.len();
        self.heads.retain(|head| head.strong_count() > 0);
        if self.heads.len() == before
            && let Some(oldest) = self.heads.pop_front().and_then(|head| head.upgrade())
        {
            oldest.give_up();
        }
    }
}

/// Reads one head and answers it. A WebSocket goes on in a thread of its own: reading a head touches four pages of stack,
/// which this thread would keep, and the new one touches two.
fn serve(head: Arc<Head>, peer: SocketAddr, shared: &Arc<Shared>) {
    let answer = match http::read_head(&head.socket) {
        Ok((request, already_read)) => match http::route(request, &shared.options) {
            Route::Upgrade(upgrade) => return open(head, peer, shared, upgrade, already_read),
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
        .send_timeout(Event::Health(answer), HEALTH_CHECK_TIMEOUT)
        .is_ok()
        && answered.recv_timeout(HEALTH_CHECK_TIMEOUT).is_ok()
}

/// One of the WebSockets that may be open, until it is dropped.
struct ConnectionPermit(Arc<Shared>);

impl ConnectionPermit {
    fn take(shared: &Arc<Shared>) -> Option<ConnectionPermit> {
        let place = ConnectionPermit(Arc::clone(shared));
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        (before < shared.options.max_connections).then_some(place)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Finds a place for a WebSocket and starts its thread, or tells the client why not.
fn open(
    head: Arc<Head>,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    upgrade: Upgrade,
    already_read: Vec<u8>,
) {
    let Some(place) = ConnectionPermit::take(shared) else {
        log::warn!(
            "{peer} refused: {} clients are here",
            shared.options.max_connections
        );
        let answer = Answer::busy("as many clients as allowed are here; try again later\n");
        return answer.send(&head.socket);
    };
    let no_room = |error: io::Error| {
        log::error!("{peer} refused: {error}");
        Answer::busy("the server has no room for one more client; try again later\n")
            .send(&head.socket);
    };
    let Upgrade { response, chat } = upgrade;
    let outbound = head.socket.try_clone().and_then(|socket| {
        socket.set_nodelay(true)?;
        Outbound::new(socket, peer, response.into(), shared.options.backlog())
    });
    let outbound = match outbound {
        Ok(outbound) => outbound,
        Err(error) => return no_room(error),
    };
    // From here on the acceptor must leave it alone, or has given it up.
    if !head.decide() {
        return;
    }
    let connection = Connection {
        id: shared.next_id.fetch_add(1, Ordering::Relaxed),
        outbound,
        chat,
        already_read,
        inbox: shared.inbox.clone(),
    };
    let thread = thread::Builder::new()
        .name("connection".into())
        .stack_size(CLIENT_STACK_SIZE);
    if let Err(error) = thread.spawn(move || connection.run(&place.0.options)) {
        no_room(error);
    }
}
