//! The writer thread of a client that has fallen behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Select;

use super::handoff::{Item, Writer};
use super::sink::{Partial, Sink};
use crate::config::CLIENT_STACK_SIZE;
use crate::websocket::disconnect::DisconnectReason;

/// The time for which a writer thread stays after its client has caught up. A client at the edge of falling behind costs
/// one thread, and not one thread start per burst.
const WRITER_IDLE_TIMEOUT: Duration = Duration::from_millis(500);

/// The number of writer threads of this process.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of writer threads of this process.
pub(crate) fn running() -> usize {
    RUNNING.load(Ordering::Relaxed)
}

/// Passes the writer's role and a partly written item to a new writer thread. The caller holds the role.
pub(super) fn start(sink: &Arc<Sink>, partial: Partial) {
    sink.lock().writer = Writer::Thread;
    let shared = Arc::clone(sink);
    let thread = thread::Builder::new()
        .name("writer".into())
        .stack_size(CLIENT_STACK_SIZE);
    let spawned = thread.spawn(move || {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        // Without its writer the client would receive nothing and never be disconnected.
        if catch_unwind(AssertUnwindSafe(|| run(&shared, partial))).is_err() {
            shared.abort(DisconnectReason::InternalError);
        }
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    });
    if spawned.is_err() {
        sink.abort(DisconnectReason::NoWriterThread);
    }
}

/// Writes, waiting for the client, until the client has caught up for a while, or the connection ends.
fn run(sink: &Sink, mut partial: Partial) {
    log::debug!("{}: fell behind, writer started", sink.stream.peer());
    while let Some(item) = sink.write_blocking(partial) {
        match next(sink, &item) {
            Some(next) => partial = Partial::new(next),
            None => return log::debug!("{}: caught up, writer ends", sink.stream.peer()),
        }
    }
}

/// Accounts for a written item and waits for the next one. After the idle timeout it frees the writer's role.
fn next(sink: &Sink, item: &Item) -> Option<Item> {
    let mut handoff = sink.complete(item);
    let next = handoff.next();
    if next.is_some() || handoff.is_closed() {
        return next;
    }
    let receiver = handoff.receiver();
    drop(handoff);
    // Waits without taking an item, because items are taken under the lock only.
    let mut queued = Select::new();
    queued.recv(&receiver);
    let _ = queued.ready_timeout(WRITER_IDLE_TIMEOUT);
    sink.lock().next_or_free()
}
