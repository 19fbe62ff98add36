//! The one thread that knows who is connected. It owns the connection list and the room, takes what the connections'
//! threads send, and puts frames into their outbound channels.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tungstenite::Bytes;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::chat::room::{Id, Next, Room, To};
use crate::outbound::Outbound;
use crate::protocol::{self, ClientCommand, Dialect, ServerEvent};
use crate::websocket::disconnect::DisconnectReason;

/// A batch ends when it holds this many bytes of frames: enough to make one write per client worth its price, little
/// enough for the socket buffer of a client that reads to take at once.
pub(crate) const MAX_BATCH_BYTES: usize = 64 << 10;

/// A batch ends after this many events too: what they cause may be for one client alone, and then the batch would never
/// be full. About as many short messages as fill it.
pub(crate) const MAX_BATCH_EVENTS: usize = 1024;

/// How long a batch may wait to get as many events as the one before it. When clients answer each other, that saves one
/// write per client for each batch that would have been small: 32 in ping-pong deliver a fifth more for a quarter less
/// processor time. Far less than anybody notices; and a chat in which nobody speaks at the same time never waits.
const BATCH_LINGER: Duration = Duration::from_micros(150);

/// How long a client may take to answer a Close of the dispatcher's before it is cut off.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the dispatcher is told by the other threads.
pub(crate) enum Event {
    /// A WebSocket is open.
    Opened {
        id: Id,
        outbound: Arc<Outbound>,
        /// What a chat client is. `None` for one that only wants its echo.
        chat: Option<JoinRequest>,
    },
    /// A chat client asks for something.
    Asked(Id, ClientCommand<'static>),
    /// A WebSocket's thread is done with it.
    Left {
        id: Id,
        why: DisconnectReason,
        /// The Close to send behind all that the client was to hear, which its own thread can't know.
        close: Option<Bytes>,
    },
    /// Is the dispatcher well? It answers by this channel, which must have room.
    Health(Sender<()>),
    /// Close everybody's connection, and that of whoever still comes.
    Stop,
}

/// A new chat client.
pub(crate) struct JoinRequest {
    pub(crate) dialect: Dialect,
    /// The name it asks for.
    pub(crate) name: Option<String>,
}

/// One line of the connection list.
struct Session {
    outbound: Arc<Outbound>,
    dialect: Option<Dialect>,
    /// How much of its dialect's batch this client has been sent, or was not here for.
    seen: usize,
}

/// Frames for everybody who speaks one dialect.
#[derive(Default)]
struct Batch {
    frames: Vec<u8>,
    /// How many chat clients speak it. Nothing is encoded for none.
    speakers: usize,
}

/// The connection list, and what is still to be sent to it. No part of the [`Dispatcher`]'s own fields, so that the
/// room can call it.
#[derive(Default)]
struct Sessions {
    seats: HashMap<Id, Session>,
    /// One for each dialect, in the order of [`Dialect::ALL`].
    batches: [Batch; Dialect::ALL.len()],
}

/// The thread's own state.
struct Dispatcher {
    room: Room,
    audience: Sessions,
    /// Who was sent a Close, and by when it must have left. One grace for all, so the first is due first.
    closing: VecDeque<(Instant, Id)>,
    stopping: bool,
}

/// Serves the inbox until every sender is gone.
pub(crate) fn run(inbox: &Receiver<Event>) {
    let mut dispatcher = Dispatcher {
        room: Room::default(),
        audience: Sessions::default(),
        closing: VecDeque::new(),
        stopping: false,
    };
    let mut events = 0;
    while let Some(first) = dispatcher.next(inbox) {
        events = dispatcher.batch(first, events, inbox);
    }
}

impl Dispatcher {
    /// Handles an event and those behind it, and sends everybody what came of them. Waits a little for as many as are
    /// expected. Returns how many it handled.
    fn batch(&mut self, first: Event, expected: usize, inbox: &Receiver<Event>) -> usize {
        let due = Instant::now() + BATCH_LINGER;
        self.handle(first);
        let mut events = 1;
        while events < MAX_BATCH_EVENTS && !self.audience.batch_is_full() {
            let next = if events < expected {
                inbox.recv_deadline(due).ok()
            } else {
                inbox.try_recv().ok()
            };
            let Some(event) = next else { break };
            self.handle(event);
            events += 1;
        }
        self.audience.flush();
        events
    }

    /// The next event, or `None` when none can come any more. Cuts off those whose grace ends meanwhile.
    fn next(&mut self, inbox: &Receiver<Event>) -> Option<Event> {
        while let Some(&(due, id)) = self.closing.front() {
            // Before the inbox: those who ought to be gone could keep it full.
            let event = if Instant::now() < due {
                inbox.recv_deadline(due)
            } else {
                Err(RecvTimeoutError::Timeout)
            };
            match event {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.closing.pop_front();
                    if let Some(seat) = self.audience.seats.get(&id) {
                        seat.outbound.cut(if self.stopping {
                            DisconnectReason::ServerShutdown
                        } else {
                            DisconnectReason::CloseTimeout
                        });
                    }
                }
            }
        }
        inbox.recv().ok()
    }

    fn handle(&mut self, event: Event) {
        match event {
            // Behind the Stop there is nobody left to tell.
            Event::Asked(..) if self.stopping => {}
            Event::Asked(id, request) => self.asked(id, request),
            Event::Opened { id, outbound, chat } => self.open(id, outbound, chat),
            Event::Left { id, why, close } => self.left(id, why, close),
            Event::Health(answer) => {
                // Nobody may wait for it any more.
                let _ = answer.try_send(());
            }
            Event::Stop => {
                self.stopping = true;
                self.audience.flush();
                let ids: Vec<Id> = self.audience.seats.keys().copied().collect();
                log::info!("stopping: {} to close", ids.len());
                ids.into_iter()
                    .for_each(|id| self.close(id, CloseCode::Away, "the server stops"));
            }
        }
    }

    fn asked(&mut self, id: Id, request: ClientCommand<'_>) {
        if let (ClientCommand::Quit, Some(name)) = (&request, self.room.name(id)) {
            log::info!("{name} quits; {} stay", self.room.users() - 1);
        }
        let audience = &mut self.audience;
        let next = self
            .room
            .handle(id, request, &mut |to, told| audience.tell(to, told));
        if next == Next::Quits {
            self.close(id, CloseCode::Normal, "bye");
        }
    }

    fn open(&mut self, id: Id, outbound: Arc<Outbound>, chat: Option<JoinRequest>) {
        let peer = outbound.peer();
        let dialect = chat.as_ref().map(|newcomer| newcomer.dialect);
        outbound.begin();
        self.audience.insert(
            id,
            Session {
                outbound,
                dialect,
                seen: 0,
            },
        );
        if self.stopping {
            return self.close(id, CloseCode::Away, "the server stops");
        }
        let Some(newcomer) = chat else {
            return log::info!("echo client {peer} came");
        };
        let audience = &mut self.audience;
        self.room
            .join(id, newcomer.name.as_deref(), &mut |to, told| {
                audience.tell(to, told)
            });
        log::info!(
            "{} came from {peer}; {} here",
            self.room.name(id).unwrap_or_default(),
            self.room.users()
        );
    }

    fn left(&mut self, id: Id, why: DisconnectReason, close: Option<Bytes>) {
        self.audience.send_unseen(id, &[]);
        let Some(seat) = self.audience.remove(id) else {
            return;
        };
        let peer = seat.outbound.peer();
        if let Some(close) = close {
            seat.outbound.close(close);
        }
        let why = if self.stopping {
            DisconnectReason::ServerShutdown
        } else {
            why
        };
        match self.room.name(id) {
            Some(name) => log::info!(
                "{name} left from {peer}: {why}; {} here",
                self.room.users() - 1
            ),
            None => log::info!("{peer} is gone: {why}"),
        }
        let audience = &mut self.audience;
        self.room.leave(id, &mut |to, told| audience.tell(to, told));
    }

    /// Sends a client what it has not seen and a Close, and begins its grace.
    fn close(&mut self, id: Id, code: CloseCode, reason: &'static str) {
        self.audience.send_unseen(id, &[]);
        if let Some(seat) = self.audience.seats.get(&id) {
            seat.outbound.close(protocol::close(code, reason));
            self.closing.push_back((Instant::now() + CLOSE_TIMEOUT, id));
        }
    }
}

/// Nobody is left at the end, except when the thread panics: then nobody may stay in a chat that has gone deaf.
impl Drop for Sessions {
    fn drop(&mut self) {
        for seat in self.seats.values() {
            seat.outbound
                .close(protocol::close(CloseCode::Error, "internal error"));
            seat.outbound.end();
        }
    }
}

impl Sessions {
    fn insert(&mut self, id: Id, mut seat: Session) {
        if let Some(dialect) = seat.dialect {
            let batch = &mut self.batches[dialect as usize];
            batch.speakers += 1;
            seat.seen = batch.frames.len();
        }
        self.seats.insert(id, seat);
    }

    fn remove(&mut self, id: Id) -> Option<Session> {
        let seat = self.seats.remove(&id)?;
        if let Some(dialect) = seat.dialect {
            self.batches[dialect as usize].speakers -= 1;
        }
        Some(seat)
    }

    fn tell(&mut self, to: To, told: &ServerEvent<'_>) {
        match to {
            To::All => self.append(told),
            To::One(id) => {
                if let Some(dialect) = self.seats.get(&id).and_then(|seat| seat.dialect) {
                    let mut frames = Vec::new();
                    protocol::encode(dialect, told, &mut frames);
                    self.send_unseen(id, &frames);
                }
            }
            To::Others(id) => {
                self.send_unseen(id, &[]);
                self.append(told);
                if let Some(seat) = self.seats.get_mut(&id)
                    && let Some(dialect) = seat.dialect
                {
                    seat.seen = self.batches[dialect as usize].frames.len();
                }
            }
        }
    }

    /// Adds to the batches, encoded once for each dialect that somebody speaks.
    fn append(&mut self, told: &ServerEvent<'_>) {
        for (dialect, batch) in Dialect::ALL.into_iter().zip(&mut self.batches) {
            if batch.speakers > 0 {
                protocol::encode(dialect, told, &mut batch.frames);
            }
        }
    }

    /// Sends one client what it has not seen of the batch, and these frames behind it: its order is everybody's.
    fn send_unseen(&mut self, id: Id, frames: &[u8]) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let Some(dialect) = seat.dialect else { return };
        let batch = &self.batches[dialect as usize].frames;
        let unseen = [&batch[seat.seen..], frames].concat();
        seat.seen = batch.len();
        if !unseen.is_empty() {
            seat.outbound.send(unseen.into());
        }
    }

    fn batch_is_full(&self) -> bool {
        self.batches
            .iter()
            .any(|batch| batch.frames.len() >= MAX_BATCH_BYTES)
    }

    /// Hands the batches to everybody: one buffer for all who speak a dialect.
    fn flush(&mut self) {
        let shared = self.batches.each_mut().map(|batch| {
            let frames = Bytes::copy_from_slice(&batch.frames);
            batch.frames.clear();
            batch.frames.shrink_to(2 * MAX_BATCH_BYTES);
            frames
        });
        if shared.iter().all(Bytes::is_empty) {
            return;
        }
        for seat in self.seats.values_mut() {
            let Some(dialect) = seat.dialect else {
                continue;
            };
            let unseen = shared[dialect as usize].slice(seat.seen..);
            seat.seen = 0;
            if !unseen.is_empty() {
                seat.outbound.send(unseen);
            }
        }
    }
}
