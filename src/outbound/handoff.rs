//! The state of an outbound channel that threads share under one lock: the writer's role, the queue, the byte count, the
//! close state. Plain logic; `model.rs` runs it in every interleaving.
//!
//! ```text
//! Free ── submit ──► Sender ── socket full, or budget used up ──► Thread
//!  ▲                   │                                            │
//!  └─ nothing queued ──┴─────────── nothing queued for a while ─────┘
//! ```

use crossbeam_channel::{Receiver, Sender, unbounded};
use tungstenite::Bytes;

use crate::websocket::disconnect::DisconnectReason;

/// The overhead of a queued item in bytes: its slot in the channel and its buffer's header.
pub(super) const ITEM_OVERHEAD: usize = 128;

/// Bytes to be written in one piece.
pub(super) enum Item {
    /// One or more whole frames, or the response to the handshake.
    Frames(Bytes),
    /// A Close frame.
    Close(Bytes),
}

impl Item {
    pub(super) fn bytes(&self) -> &Bytes {
        match self {
            Item::Frames(bytes) | Item::Close(bytes) => bytes,
        }
    }

    /// Returns the item's share of the backlog in bytes.
    fn cost(&self) -> usize {
        self.bytes().len() + ITEM_OVERHEAD
    }
}

/// The holder of the writer's role: the only thread that writes to the socket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Writer {
    /// No thread writes, and nothing is queued.
    Free,
    /// A sending thread writes, without waiting. Initially the dispatcher, until it has sent the handshake's response.
    Sender,
    /// The writer thread writes.
    Thread,
}

/// The state of the closing handshake, seen from the sending side.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CloseState {
    Open,
    /// A Close is queued or being written. Further items are refused.
    Queued,
    /// The Close has been written.
    Sent,
    /// The connection was aborted.
    Aborted(DisconnectReason),
}

/// The result of submitting an item.
pub(super) enum Submitted {
    /// The caller holds the writer's role now and must write the item.
    Write(Item),
    /// The item was queued for the holder of the role.
    Queued,
    /// The item was refused because of the close state.
    Refused,
    /// More bytes are queued now than allowed.
    BacklogExceeded {
        /// The bytes queued, bookkeeping included.
        queued_bytes: usize,
    },
}

/// The shared state. Invariant: while the writer's role is free, nothing is queued.
pub(super) struct Handoff {
    pub(super) writer: Writer,
    /// The outbound channel. It is created with the first queued item: most clients never fall behind.
    queue: Option<(Sender<Item>, Receiver<Item>)>,
    /// The costs of the queued items and of the one being written.
    pub(super) queued_bytes: usize,
    max_backlog: usize,
    pub(super) close_state: CloseState,
    /// A thread waits until nothing is queued.
    pub(super) has_waiter: bool,
}

impl Handoff {
    /// Returns the initial state, in which everything is queued until the dispatcher has written the first item.
    pub(super) fn new(max_backlog: usize) -> Handoff {
        Handoff {
            writer: Writer::Sender,
            queue: None,
            queued_bytes: 0,
            max_backlog,
            close_state: CloseState::Open,
            has_waiter: false,
        }
    }

    /// Gives the item to the caller to write if no thread writes, and queues it otherwise.
    pub(super) fn submit(&mut self, item: Item) -> Submitted {
        match self.submit_unbounded(item) {
            Submitted::Queued if self.queued_bytes > self.max_backlog => {
                Submitted::BacklogExceeded {
                    queued_bytes: self.queued_bytes,
                }
            }
            submitted => submitted,
        }
    }

    /// Submits an item without the backlog limit, for a caller that waits until its item is written.
    pub(super) fn submit_unbounded(&mut self, item: Item) -> Submitted {
        if self.close_state != CloseState::Open {
            return Submitted::Refused;
        }
        if let Item::Close(_) = item {
            self.close_state = CloseState::Queued;
        }
        if self.writer == Writer::Free {
            self.writer = Writer::Sender;
            return Submitted::Write(self.claim(item));
        }
        self.queued_bytes += item.cost();
        // This struct holds both ends, so the channel cannot be disconnected.
        let _ = self.queue.get_or_insert_with(unbounded).0.send(item);
        Submitted::Queued
    }

    /// Counts an item that the caller writes without queueing it. The caller holds the writer's role.
    pub(super) fn claim(&mut self, item: Item) -> Item {
        self.queued_bytes += item.cost();
        item
    }

    /// Accounts for an item that was written. Returns whether a waiting thread must be notified.
    pub(super) fn complete(&mut self, item: &Item) -> bool {
        self.queued_bytes -= item.cost();
        if let (Item::Close(_), CloseState::Queued) = (item, &self.close_state) {
            self.close_state = CloseState::Sent;
        }
        self.queued_bytes == 0 && std::mem::take(&mut self.has_waiter)
    }

    /// Returns the next queued item, or frees the writer's role. Both happen under one lock: otherwise
    /// an item queued in between would be lost.
    pub(super) fn next_or_free(&mut self) -> Option<Item> {
        let next = self.next();
        if next.is_none() {
            self.writer = Writer::Free;
        }
        next
    }

    /// Returns the next queued item. The caller holds the writer's role and keeps it.
    pub(super) fn next(&self) -> Option<Item> {
        self.queue.as_ref()?.1.try_recv().ok()
    }

    /// Returns whether the Close was written or the connection aborted.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.close_state, CloseState::Sent | CloseState::Aborted(_))
    }

    /// Returns whether a whisper of this many bytes leaves half of the allowed backlog free. A client without a backlog
    /// accepts every whisper.
    pub(super) fn accepts_whisper(&self, bytes: usize) -> bool {
        self.queued_bytes == 0 || self.queued_bytes + bytes <= self.max_backlog / 2
    }

    /// Returns a receiver for waiting until an item is queued.
    pub(super) fn receiver(&mut self) -> Receiver<Item> {
        self.queue.get_or_insert_with(unbounded).1.clone()
    }
}
