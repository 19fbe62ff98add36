//! The list of connections, and the batches of frames that are sent to them.

use std::sync::Mutex;
use std::thread;

use tungstenite::Bytes;
use tungstenite::protocol::frame::coding::CloseCode;

use super::delivery::Recipients;
use super::join::ConnectionId;
use crate::config::MAX_BATCH_BYTES;
use crate::outbound::Outbound;
use crate::protocol::{Dialect, ServerEvent};
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::frame;

/// The dispatcher's entry for one connection.
pub(super) struct Session {
    pub(super) outbound: Outbound,
    /// The dialect of a chat client. `None` for an echo client, which receives no events.
    dialect: Option<Dialect>,
    /// Offset in the current batch of the dialect: everything before it was sent to this client or predates it.
    batch_offset: usize,
}

/// Unsent frames for all clients of one dialect.
#[derive(Default)]
struct Batch {
    frames: Vec<u8>,
    /// The number of chat clients that speak the dialect. If it is 0, no event is encoded.
    clients: usize,
}

/// One value for each dialect, in the order of [`Dialect::ALL`].
type Batches<T> = [T; Dialect::ALL.len()];

/// The smallest part of the list that is worth a thread of its own.
const MIN_PART: usize = 500;

/// All connections, echo clients included, and the current batches.
pub(super) struct Sessions {
    /// The number of threads that send a batch.
    writers: usize,
    /// Sorted by id: one block of memory, in whose order the clients' outbound channels were allocated. The processor
    /// fetches such a list ahead: with 10,000 clients a delivery costs 8 % less CPU time than with a hash map.
    sessions: Vec<(ConnectionId, Session)>,
    batches: Batches<Batch>,
    /// A `joined` that follows the batches and is not encoded yet. A `left` of the same user that follows directly
    /// cancels both notices.
    held_join: Option<(ConnectionId, ServerEvent<'static>)>,
    sent: Sent,
}

/// What was sent to clients, each event once for each receiver, greetings excluded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
}

impl Sent {
    /// Counts an event of this many bytes to this many receivers.
    fn count(&mut self, receivers: usize, bytes: usize) {
        self.deliveries += receivers as u64;
        self.bytes += receivers as u64 * bytes as u64;
    }

    /// Takes back one receiver of an event of this many bytes, if the event has bytes in the receiver's dialect.
    fn uncount(&mut self, bytes: usize) {
        self.deliveries -= u64::from(bytes > 0);
        self.bytes -= bytes as u64;
    }
}

impl Sessions {
    /// Creates an empty list. Batches are sent by up to this many threads.
    pub(super) fn new(writers: usize) -> Sessions {
        Sessions {
            writers,
            sessions: Vec::new(),
            batches: Batches::default(),
            held_join: None,
            sent: Sent::default(),
        }
    }

    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    /// Returns the bytes that are queued for all clients.
    pub(super) fn queued_bytes(&self) -> u64 {
        let queued = |(_, session): &(_, Session)| session.outbound.queued_bytes() as u64;
        self.sessions.iter().map(queued).sum()
    }

    pub(super) fn insert(
        &mut self,
        id: ConnectionId,
        outbound: Outbound,
        dialect: Option<Dialect>,
    ) {
        self.release_join();
        let batch_offset = dialect.map_or(0, |dialect| {
            let batch = &mut self.batches[dialect as usize];
            batch.clients += 1;
            batch.frames.len()
        });
        let session = Session {
            outbound,
            dialect,
            batch_offset,
        };
        // Handshakes end in about the order of their ids, so few entries move, if any.
        let index = self.sessions.partition_point(|(other, _)| *other < id);
        self.sessions.insert(index, (id, session));
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Session> {
        let index = self.index(id)?;
        let (_, session) = self.sessions.remove(index);
        if let Some(dialect) = session.dialect {
            self.batches[dialect as usize].clients -= 1;
        }
        Some(session)
    }

    fn index(&self, id: ConnectionId) -> Option<usize> {
        self.sessions
            .binary_search_by_key(&id, |(other, _)| *other)
            .ok()
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Session> {
        let (_, session) = &self.sessions[self.index(id)?];
        Some(session)
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.sessions.iter().map(|(id, _)| *id).collect()
    }

    /// Returns the connections of chat clients.
    #[cfg(feature = "cluster")]
    pub(super) fn chat_ids(&self) -> Vec<ConnectionId> {
        let sessions = self.sessions.iter();
        let chats = sessions.filter(|(_, session)| session.dialect.is_some());
        chats.map(|(id, _)| *id).collect()
    }

    /// Delivers an event: with the batch to many clients, at once to a single one.
    pub(super) fn deliver(&mut self, recipients: Recipients, event: &ServerEvent<'_>) {
        match (recipients, event) {
            (Recipients::All, _) => {
                self.release_join();
                self.append_to_batches(event);
            }
            (Recipients::AllExcept(id), ServerEvent::Joined { name, users }) => {
                self.release_join();
                let joined = ServerEvent::Joined {
                    name: name.clone().into_owned().into(),
                    users: *users,
                };
                self.held_join = Some((id, joined));
            }
            (Recipients::AllExcept(id), ServerEvent::Left { .. }) if self.holds_join_of(id) => {
                self.held_join = None;
            }
            (Recipients::AllExcept(id), _) => {
                self.release_join();
                self.append_to_all_except(id, event);
            }
            (Recipients::Only(id), _) => {
                if let Some(dialect) = self.get(id).and_then(|session| session.dialect) {
                    let mut frames = Vec::new();
                    dialect.encode(event, &mut frames);
                    self.sent.count(1, frames.len());
                    self.send_now_to(id, &frames);
                }
            }
        }
    }

    fn holds_join_of(&self, id: ConnectionId) -> bool {
        matches!(&self.held_join, Some((joined, _)) if *joined == id)
    }

    /// Appends the `joined` that is held back, because something follows that depends on it.
    fn release_join(&mut self) {
        if let Some((id, joined)) = self.held_join.take() {
            self.append_to_all_except(id, &joined);
        }
    }

    fn append_to_all_except(&mut self, id: ConnectionId, event: &ServerEvent<'_>) {
        // The excluded client gets what precedes the event now, so that its offset can skip the event.
        self.send_now_to(id, &[]);
        self.append_to_batches(event);
        if let Some(index) = self.index(id)
            && let (_, session) = &mut self.sessions[index]
            && let Some(dialect) = session.dialect
        {
            let end = self.batches[dialect as usize].frames.len();
            self.sent.uncount(end - session.batch_offset);
            session.batch_offset = end;
        }
    }

    /// Encodes an event once for each dialect.
    fn append_to_batches(&mut self, event: &ServerEvent<'_>) {
        for (dialect, batch) in Dialect::ALL.into_iter().zip(&mut self.batches) {
            if batch.clients > 0 {
                let before = batch.frames.len();
                dialect.encode(event, &mut batch.frames);
                let bytes = batch.frames.len() - before;
                if bytes > 0 {
                    self.sent.count(batch.clients, bytes);
                }
            }
        }
    }

    /// Sends one client the part of the batch that it has not received, and then `frames`, so the order is the same for all
    /// clients.
    pub(super) fn send_now_to(&mut self, id: ConnectionId, frames: &[u8]) {
        // The user itself receives no notice of its own join.
        if !self.holds_join_of(id) {
            self.release_join();
        }
        let Some(index) = self.index(id) else {
            return;
        };
        let (_, session) = &mut self.sessions[index];
        let Some(dialect) = session.dialect else {
            return;
        };
        let batch = &self.batches[dialect as usize].frames;
        let unsent = [&batch[session.batch_offset..], frames].concat();
        session.batch_offset = batch.len();
        if !unsent.is_empty() {
            session.outbound.send(unsent.into());
        }
    }

    pub(super) fn batch_is_full(&self) -> bool {
        self.batches
            .iter()
            .any(|batch| batch.frames.len() >= MAX_BATCH_BYTES)
    }

    /// Sends the batches. All clients of a dialect share one buffer.
    pub(super) fn flush(&mut self) {
        self.release_join();
        let shared = self.batches.each_mut().map(|batch| {
            let frames = Bytes::copy_from_slice(&batch.frames);
            batch.frames.clear();
            batch.frames.shrink_to(2 * MAX_BATCH_BYTES);
            frames
        });
        if shared.iter().all(Bytes::is_empty) {
            return;
        }
        let parts = self.writers.min(self.sessions.len() / MIN_PART);
        if parts > 1 {
            send_in_parts(&mut self.sessions, parts, &shared);
        } else {
            send_unsent(&mut self.sessions, &shared);
        }
    }
}

/// Sends each session the part of the batches that it has not received. Never waits.
fn send_unsent(sessions: &mut [(ConnectionId, Session)], batches: &Batches<Bytes>) {
    for (_, session) in sessions {
        let Some(dialect) = session.dialect else {
            continue;
        };
        let unsent = batches[dialect as usize].slice(session.batch_offset..);
        session.batch_offset = 0;
        if !unsent.is_empty() {
            session.outbound.send(unsent);
        }
    }
}

/// The same with a thread for each part of the list. They end before this function returns, so the order of the batches
/// stays one, and none of them waits for a client.
fn send_in_parts(sessions: &mut [(ConnectionId, Session)], parts: usize, batches: &Batches<Bytes>) {
    let parts: Vec<_> = sessions
        .chunks_mut(sessions.len().div_ceil(parts))
        .map(|part| Mutex::new(Some(part)))
        .collect();
    let send = || {
        for part in &parts {
            // Nothing panics while the lock is held.
            let part = part.lock().map_or(None, |mut part| part.take());
            if let Some(part) = part {
                send_unsent(part, batches);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..parts.len() {
            // If there is no thread, another one sends its part.
            let builder = thread::Builder::new().name("flush".into());
            let _ = builder.spawn_scoped(scope, send);
        }
        send();
    });
}

/// The list is empty when the dispatcher ends, unless it panics. Then all clients are disconnected, because they would
/// receive nothing any more.
impl Drop for Sessions {
    fn drop(&mut self) {
        for (_, session) in &self.sessions {
            let outbound = &session.outbound;
            outbound.close(frame::close(CloseCode::Error, "internal error"));
            if outbound.close_sent() {
                outbound.shutdown();
            } else {
                // The client is behind, or the dispatcher panicked while it wrote to it. Its threads must not wait.
                outbound.abort(DisconnectReason::InternalError);
            }
        }
    }
}
