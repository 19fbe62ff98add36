//! The outbound channel of one client, and the threads that write to its socket.
//!
//! # Rules
//!
//! 1. Every byte for a WebSocket, the handshake's response first, goes through an [`Outbound`], so whole frames never
//!    interleave (`many_producers_one_socket_every_byte_once_and_in_order`).
//! 2. `send` and `close` never wait for the client, whichever thread calls them, and write a bounded number of times: a
//!    full socket or an endless queue is left to a writer thread (`nonblocking_budget_hands_over_to_a_writer`,
//!    `tests/stalled_clients.rs`).
//! 3. One thread at a time writes: the holder of the writer's role. A thread with an item takes the role if it is free
//!    and writes the item directly. Otherwise it queues the item in the channel and returns. The holder looks into the
//!    channel and frees the role under one lock, so that no item is left behind (`model.rs`,
//!    `a_writer_retires_when_the_client_has_caught_up`).
//! 4. The lock guards the role, the byte count and the close state. It is never held across a system call.
//! 5. Queued bytes are bounded, bookkeeping included. Over the bound or after the write timeout the client is
//!    disconnected, and other clients do not notice (`exceeding_max_backlog_aborts`, `tests/slow_consumer.rs`).
//! 6. A Close is the last frame that is written, and a FIN follows (RFC 6455, section 1.4: after sending a Close an
//!    endpoint sends no further data; `a_close_is_the_last_thing_that_is_written`).

mod handoff;
mod writer;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tungstenite::Bytes;

use self::handoff::{CloseState, Handoff, Item, Submitted};
use crate::config::WRITE_TIMEOUT;
use crate::net::Stream;
use crate::websocket::disconnect::DisconnectReason;

/// Non-blocking writes per call. Without this limit two threads that keep enqueueing, or a client that pings and reads
/// fast enough, could occupy the dispatcher indefinitely. Beyond it a writer thread takes over.
const MAX_NONBLOCKING_SENDS: u32 = 64;

/// An item that is being written.
struct Partial {
    item: Item,
    /// The number of bytes that the socket has accepted.
    written: usize,
}

impl Partial {
    fn new(item: Item) -> Partial {
        Partial { item, written: 0 }
    }

    /// Writes once. Returns whether all of the item is written.
    fn write(
        &mut self,
        stream: &Stream,
        write: impl Fn(&Stream, &[u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let rest = &self.item.bytes()[self.written..];
        if !rest.is_empty() {
            match write(stream, rest)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                accepted => self.written += accepted,
            }
        }
        let complete = self.written == self.item.bytes().len();
        if let (true, Item::Close(_)) = (complete, &self.item) {
            stream.shutdown_write();
        }
        Ok(complete)
    }
}

/// The sending side of one client's connection. Shared by the connection's thread, the dispatcher, and the client's
/// writer thread while there is one.
pub(crate) struct Outbound {
    stream: Arc<Stream>,
    max_backlog: usize,
    handoff: Mutex<Handoff>,
    /// Notified when nothing is queued any more or the connection was aborted, if a thread waits for that.
    drained: Condvar,
}

impl Outbound {
    /// Creates the outbound channel of a connection. More than `max_backlog` queued bytes abort the connection.
    ///
    /// # Errors
    ///
    /// The socket accepts no write timeout.
    pub(crate) fn new(stream: Arc<Stream>, max_backlog: usize) -> io::Result<Arc<Outbound>> {
        stream.set_write_timeout(WRITE_TIMEOUT)?;
        Ok(Arc::new(Outbound {
            stream,
            max_backlog,
            handoff: Mutex::new(Handoff::new()),
            drained: Condvar::new(),
        }))
    }

    /// Returns the socket, for reading and for its options.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns the client's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// Returns whether a Close has been written.
    pub(crate) fn close_sent(&self) -> bool {
        self.lock().close_state == CloseState::Sent
    }

    /// Returns whether bytes are queued that the socket has not accepted.
    pub(crate) fn has_backlog(&self) -> bool {
        self.lock().queued_bytes > 0
    }

    /// Returns the reason why the connection was aborted, if it was.
    pub(crate) fn abort_reason(&self) -> Option<DisconnectReason> {
        match &self.lock().close_state {
            CloseState::Aborted(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Sends whole frames. Writes what the socket accepts at once and queues the rest. Any thread; never waits for the
    /// client.
    pub(crate) fn send(self: &Arc<Self>, frames: Bytes) {
        self.submit(Item::Frames(frames));
    }

    /// Sends a Close frame as the last frame for this client. Any thread; never waits for the client.
    pub(crate) fn close(self: &Arc<Self>, frame: Bytes) {
        self.submit(Item::Close(frame));
    }

    /// Sends whole frames and waits until they are written, each time up to the write timeout.
    ///
    /// For a connection whose only source is its own thread, which slows its client down by not reading meanwhile.
    pub(crate) fn send_blocking(self: &Arc<Self>, frames: Bytes) {
        let mut handoff = self.lock();
        match handoff.submit(Item::Frames(frames), usize::MAX) {
            Submitted::Write(item) => {
                drop(handoff);
                if let Some(item) = self.write_blocking(Partial::new(item))
                    && let Some(queued) = self.finish(&item)
                {
                    self.write_nonblocking(queued);
                }
            }
            Submitted::Queued => {
                let unwritten = |handoff: &mut Handoff| {
                    let aborted = matches!(handoff.close_state, CloseState::Aborted(_));
                    handoff.has_waiter = !aborted && handoff.queued_bytes > 0;
                    handoff.has_waiter
                };
                // The holder of the role notifies; each of its writes ends by the write timeout.
                let _drained = self.drained.wait_while(handoff, unwritten);
            }
            Submitted::Refused | Submitted::BacklogExceeded { .. } => {}
        }
    }

    /// Ends the connection at once and discards what is queued. Only the first reason counts. Any thread.
    pub(crate) fn abort(&self, reason: DisconnectReason) {
        let mut handoff = self.lock();
        if let CloseState::Aborted(_) = handoff.close_state {
            return;
        }
        handoff.close_state = CloseState::Aborted(reason);
        drop(handoff);
        self.drained.notify_all();
        self.stream.abort();
    }

    /// Ends the connection after the Close. The kernel still sends the written bytes. Any thread.
    pub(crate) fn shutdown(&self) {
        self.stream.shutdown();
    }

    /// Locks the shared state. No code panics while it holds this lock, so a poisoned lock guards a complete state.
    fn lock(&self) -> MutexGuard<'_, Handoff> {
        self.handoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, item: Item) {
        let submitted = self.lock().submit(item, self.max_backlog);
        match submitted {
            Submitted::Write(item) => self.write_nonblocking(item),
            Submitted::Queued | Submitted::Refused => {}
            Submitted::BacklogExceeded { queued_bytes } => {
                self.abort(DisconnectReason::BacklogExceeded { queued_bytes });
            }
        }
    }

    /// Writes an item and everything queued after it, as far as the socket accepts it at once. The caller holds the
    /// writer's role.
    fn write_nonblocking(self: &Arc<Self>, item: Item) {
        let mut partial = Partial::new(item);
        for _ in 0..MAX_NONBLOCKING_SENDS {
            match partial.write(&self.stream, Stream::write_nonblocking) {
                Ok(true) => match self.finish(&partial.item) {
                    Some(next) => partial = Partial::new(next),
                    None => return,
                },
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    return self.abort(DisconnectReason::ConnectionLost(error.kind()));
                }
            }
        }
        writer::start(self, partial);
    }

    /// Writes the rest of an item, waiting up to [`WRITE_TIMEOUT`] each time the socket accepts nothing. Returns the item,
    /// or `None` if the connection was aborted. The caller holds the writer's role and keeps it.
    fn write_blocking(&self, mut partial: Partial) -> Option<Item> {
        loop {
            match partial.write(&self.stream, Stream::write_blocking) {
                Ok(true) => return Some(partial.item),
                Ok(false) => {}
                Err(error) => {
                    self.abort(match error.kind() {
                        // A blocking socket reports its timeout by one of these.
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                            DisconnectReason::WriteTimeout
                        }
                        kind => DisconnectReason::ConnectionLost(kind),
                    });
                    return None;
                }
            }
        }
    }

    /// Accounts for a written item. Returns the next queued one, or frees the writer's role.
    fn finish(&self, item: &Item) -> Option<Item> {
        let mut handoff = self.lock();
        let notify = handoff.complete(item);
        let next = handoff.next_or_free();
        drop(handoff);
        if notify {
            self.drained.notify_all();
        }
        next
    }
}

/// The response to a handshake, which is not written yet. Everything else for the client is queued until it is.
///
/// The dispatcher writes the response, not the connection's thread: Linux keeps 32 KiB for the next packet of each thread
/// that has ever sent, and most connection threads never send. An idle client costs the machine 40 KB that way, not 75.
///
/// Dropped unwritten, which happens only if the dispatcher panics, it aborts the connection.
pub(crate) struct PendingResponse {
    outbound: Arc<Outbound>,
    response: Option<Bytes>,
}

impl PendingResponse {
    pub(crate) fn new(outbound: Arc<Outbound>, response: Bytes) -> PendingResponse {
        PendingResponse {
            outbound,
            response: Some(response),
        }
    }

    /// Writes the response and what was queued meanwhile. Never waits for the client.
    pub(crate) fn write(mut self) -> Arc<Outbound> {
        if let Some(response) = self.response.take() {
            let item = self.outbound.lock().claim(Item::Frames(response));
            self.outbound.write_nonblocking(item);
        }
        Arc::clone(&self.outbound)
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if self.response.is_some() {
            self.outbound.abort(DisconnectReason::InternalError);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
