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
//!    and writes the item directly. Otherwise it queues the item in the channel and returns. The holder checks the
//!    channel and frees the role under one lock, so that no item is left behind (`model.rs`,
//!    `a_writer_retires_when_the_client_has_caught_up`).
//! 4. The lock guards the role, the byte count and the close state. It is never held while waiting, nor during a
//!    system call on the socket.
//! 5. Queued bytes are bounded, bookkeeping included. Over the bound or after the write timeout the client is
//!    disconnected, and other clients are not affected (`exceeding_max_backlog_aborts`, `tests/slow_consumer.rs`).
//! 6. A Close is the last frame that is written, and a FIN follows (RFC 6455, section 1.4: after sending a Close an
//!    endpoint sends no further data; `a_close_is_the_last_thing_that_is_written`).

mod handoff;
mod sink;
mod writer;

pub(crate) use self::writer::running as running_writers;

use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tungstenite::Bytes;

use self::handoff::{CloseState, Handoff, Item, Submitted};
use self::sink::{Partial, Sink};
use crate::config::{ACKNOWLEDGE_TIMEOUT, SEND_BUFFER_SIZE, WRITE_TIMEOUT};
use crate::net::{Peer, Stream};
use crate::websocket::disconnect::DisconnectReason;

/// Non-blocking writes per call. Without this limit two threads that keep enqueueing, or a client that pings and reads
/// fast enough, could occupy the dispatcher indefinitely. Beyond it a writer thread takes over.
const MAX_NONBLOCKING_SENDS: u32 = 64;

/// The sending side of one client's connection. The connection's thread and the dispatcher have a clone each.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Sink>);

impl Outbound {
    /// Creates the outbound channel of a connection. More than `max_backlog` queued bytes abort the connection.
    ///
    /// # Errors
    ///
    /// The socket does not accept its options.
    pub(crate) fn new(stream: Stream, max_backlog: usize) -> io::Result<Outbound> {
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        stream.set_send_buffer_size(SEND_BUFFER_SIZE)?;
        stream.set_acknowledge_timeout(ACKNOWLEDGE_TIMEOUT)?;
        Ok(Outbound(Arc::new(Sink {
            stream,
            handoff: Mutex::new(Handoff::new(max_backlog)),
            drained: Condvar::new(),
        })))
    }

    /// Returns the socket, for reading and for its options.
    pub(crate) fn stream(&self) -> &Stream {
        &self.0.stream
    }

    /// Reads like [`Stream::read_with`]. What TLS has to send because of it goes through this channel.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.stream.read_with(buffer, || self.send(Bytes::new()))
    }

    /// Returns the client's address.
    pub(crate) fn peer(&self) -> Peer {
        self.0.stream.peer()
    }

    /// Returns whether a Close has been written.
    pub(crate) fn close_sent(&self) -> bool {
        self.0.lock().close_state == CloseState::Sent
    }

    /// Returns the bytes that are queued or being written, bookkeeping included.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.lock().queued_bytes
    }

    /// Returns whether bytes are queued that the socket has not accepted.
    pub(crate) fn has_backlog(&self) -> bool {
        self.0.lock().queued_bytes > 0
    }

    /// Returns whether a whisper of this many bytes leaves half of the allowed backlog free.
    pub(crate) fn accepts_whisper(&self, bytes: usize) -> bool {
        self.0.lock().accepts_whisper(bytes)
    }

    /// Returns the reason why the connection was aborted, if it was.
    #[inline(never)]
    pub(crate) fn abort_reason(&self) -> Option<DisconnectReason> {
        match &self.0.lock().close_state {
            CloseState::Aborted(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Sends whole frames. Writes what the socket accepts at once and queues the rest. Can be called from any thread; never waits for the
    /// client.
    pub(crate) fn send(&self, frames: Bytes) {
        self.submit(Item::Frames(frames));
    }

    /// Sends a Close frame as the last frame for this client. Can be called from any thread; never waits for the client.
    pub(crate) fn close(&self, frame: Bytes) {
        self.submit(Item::Close(frame));
    }

    /// Sends whole frames and waits until they are written. Each write waits up to the write timeout.
    ///
    /// For echo clients: only the connection's thread sends messages, and slows its client down by not reading meanwhile.
    pub(crate) fn send_blocking(&self, frames: Bytes) {
        let mut handoff = self.0.lock();
        match handoff.submit_unbounded(Item::Frames(frames)) {
            Submitted::Write(item) => {
                drop(handoff);
                if let Some(item) = self.0.write_blocking(Partial::new(item))
                    && let Some(queued) = self.0.finish(&item)
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
                let _drained = self.0.drained.wait_while(handoff, unwritten);
            }
            Submitted::Refused | Submitted::BacklogExceeded { .. } => {}
        }
    }

    /// Waits until the Close is written or the connection aborted, up to `timeout`.
    pub(crate) fn wait_for_close(&self, timeout: Duration) {
        let open = |handoff: &mut Handoff| {
            handoff.has_waiter = !handoff.is_closed();
            handoff.has_waiter
        };
        // The holder of the role notifies when it has written the Close.
        let _closed = self
            .0
            .drained
            .wait_timeout_while(self.0.lock(), timeout, open);
    }

    /// Ends the connection at once and discards what is queued. Only the first reason counts. Can be called from any thread.
    pub(crate) fn abort(&self, reason: DisconnectReason) {
        self.0.abort(reason);
    }

    /// Ends the connection after the Close. The kernel still sends the written bytes. Can be called from any thread.
    pub(crate) fn shutdown(&self) {
        self.0.stream.shutdown();
    }

    fn submit(&self, item: Item) {
        let submitted = self.0.lock().submit(item);
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
    fn write_nonblocking(&self, item: Item) {
        let mut partial = Partial::new(item);
        for _ in 0..MAX_NONBLOCKING_SENDS {
            match partial.write(&self.0.stream, Stream::write_nonblocking) {
                Ok(true) => match self.0.finish(&partial.item) {
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
        writer::start(&self.0, partial);
    }
}

/// The response to a handshake, which is not written yet. Everything else for the client is queued until it is.
///
/// The dispatcher writes the response, not the connection's thread: Linux keeps 32 KiB for the next packet of each thread
/// that has ever sent, and most connection threads never send. An idle client costs the machine about half as much.
///
/// Dropping an unwritten response, which happens only if the dispatcher panics, aborts the connection.
pub(crate) struct PendingResponse {
    outbound: Outbound,
    /// The response and the frames that follow it in the same write.
    bytes: Vec<u8>,
}

impl PendingResponse {
    /// Creates the response, which must not be empty.
    pub(crate) fn new(outbound: Outbound, response: Vec<u8>) -> PendingResponse {
        PendingResponse {
            outbound,
            bytes: response,
        }
    }

    /// Returns the client's outbound channel, which queues everything until the response is written.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Returns the bytes to write, for appending whole frames.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes the response and what was queued meanwhile. Never waits for the client.
    pub(crate) fn write(mut self) {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let item = self.outbound.0.lock().claim(Item::Frames(bytes));
        self.outbound.write_nonblocking(item);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.outbound.abort(DisconnectReason::InternalError);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
