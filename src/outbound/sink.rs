//! The socket of one client, with the state that all threads that write to it share.

use std::io::{self, ErrorKind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::handoff::{CloseState, Handoff, Item};
use crate::net::{Stream, is_timeout};
use crate::websocket::disconnect::DisconnectReason;

/// An item that is being written.
pub(super) struct Partial {
    pub(super) item: Item,
    /// The number of bytes that the socket has accepted, or with TLS, that were sealed.
    written: usize,
    /// With TLS: records that the socket has not accepted. An item is sealed when its turn has come, so that what is queued
    /// for many clients stays shared.
    records: Vec<u8>,
}

impl Partial {
    pub(super) fn new(item: Item) -> Partial {
        Partial {
            item,
            written: 0,
            records: Vec::new(),
        }
    }

    /// Writes once. Returns whether all of the item is written.
    pub(super) fn write(
        &mut self,
        stream: &Stream,
        write: impl Fn(&Stream, &[u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        if stream.is_encrypted() {
            self.write_records(stream, write)?;
        } else {
            let rest = &self.item.bytes()[self.written..];
            self.written += write_once(stream, rest, write)?;
        }
        let complete = self.records.is_empty() && self.written == self.item.bytes().len();
        if let (true, Item::Close(_)) = (complete, &self.item) {
            stream.shutdown_write();
        }
        Ok(complete)
    }

    fn write_records(
        &mut self,
        stream: &Stream,
        write: impl Fn(&Stream, &[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.records.is_empty() {
            let rest = &self.item.bytes()[self.written..];
            let sealed = stream.seal(rest, &mut self.records)?;
            self.written += sealed;
            if let (true, Item::Close(_)) = (sealed == rest.len(), &self.item) {
                stream.seal_close(&mut self.records)?;
            }
        }
        let accepted = write_once(stream, &self.records, write)?;
        self.records.drain(..accepted);
        Ok(())
    }
}

/// Writes once, unless there is nothing to write. Returns the number of bytes that the socket has accepted.
fn write_once(
    stream: &Stream,
    bytes: &[u8],
    write: impl Fn(&Stream, &[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match write(stream, bytes)? {
        0 => Err(ErrorKind::WriteZero.into()),
        accepted => Ok(accepted),
    }
}

/// A socket and its [`Handoff`].
pub(super) struct Sink {
    pub(super) stream: Stream,
    pub(super) handoff: Mutex<Handoff>,
    /// Notified when nothing is queued any more or the connection was aborted, if a thread waits for that.
    pub(super) drained: Condvar,
}

impl Sink {
    /// Locks the shared state. No code panics while it holds this lock, so a poisoned lock guards a complete state.
    pub(super) fn lock(&self) -> MutexGuard<'_, Handoff> {
        self.handoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection at once and discards what is queued. Only the first reason counts. Can be called from any thread.
    pub(super) fn abort(&self, reason: DisconnectReason) {
        let mut handoff = self.lock();
        if let CloseState::Aborted(_) = handoff.close_state {
            return;
        }
        handoff.close_state = CloseState::Aborted(reason);
        drop(handoff);
        self.drained.notify_all();
        self.stream.abort();
    }

    /// Writes the rest of an item, waiting up to the write timeout each time the socket accepts nothing. Returns the item,
    /// or `None` if the connection was aborted. The caller holds the writer's role and keeps it.
    pub(super) fn write_blocking(&self, mut partial: Partial) -> Option<Item> {
        loop {
            match partial.write(&self.stream, Stream::write_blocking) {
                Ok(true) => return Some(partial.item),
                Ok(false) => {}
                Err(error) => {
                    self.abort(match is_timeout(&error) {
                        true => DisconnectReason::WriteTimeout,
                        false => DisconnectReason::ConnectionLost(error.kind()),
                    });
                    return None;
                }
            }
        }
    }

    /// Accounts for a written item and notifies a thread that waits for it. Returns the shared state, still locked.
    pub(super) fn complete(&self, item: &Item) -> MutexGuard<'_, Handoff> {
        let mut handoff = self.lock();
        if handoff.complete(item) {
            self.drained.notify_all();
        }
        handoff
    }

    /// Accounts for a written item. Returns the next queued one, or frees the writer's role.
    pub(super) fn finish(&self, item: &Item) -> Option<Item> {
        self.complete(item).next_or_free()
    }
}
