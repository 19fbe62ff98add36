//! The outbound channel of one client, and who writes what is in it to the socket.
//!
//! # Rules
//!
//! 1. Every byte for a WebSocket, the handshake's answer first, goes through an [`Outbound`], so whole frames never
//!    interleave (`many_producers_one_socket_every_byte_once_and_in_order`).
//! 2. `send` and `close` never wait for the client, whichever thread calls them, and write for it a bounded number of
//!    times: a full socket, or a queue that does not end, is a writer thread's business
//!    (`one_that_does_not_wait_leaves_a_long_queue_to_a_writer`, `tests/stuck.rs`).
//! 3. One thread at a time writes: the holder of `drain`. Whoever has something to send tries to become it, and then
//!    writes all that waits in the channel and its own. Who fails puts its own into the channel and may leave, because
//!    the holder looks into the channel again after letting go, and a writer thread before it retires (the test of
//!    rule 1, `a_writer_retires_when_the_client_has_caught_up`).
//! 4. What waits is bounded in bytes, bookkeeping included. Over the bound, or past the write deadline, the client
//!    is cut off, and nobody else notices (`over_the_bound_the_client_is_cut_off`, `tests/slow.rs`).
//! 5. A Close is the last thing that is written; the write side of the socket is shut down behind it
//!    (RFC 6455, section 1.4: after sending a Close an endpoint sends no further data;
//!    `a_close_is_the_last_thing_that_is_written`).

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender};
use tungstenite::Bytes;

use crate::CLIENT_STACK_SIZE;
use crate::websocket::disconnect::DisconnectReason;

/// How long a client that has fallen behind may take none of the bytes that wait for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a writer thread stays after its client has caught up: a client that hovers at the edge costs one thread,
/// not one thread start per burst.
const WRITER_IDLE_TIMEOUT: Duration = Duration::from_millis(500);

/// How often one that does not wait may write for one client. Two threads that both have something for it can keep each
/// other supplied, and a client that pings and reads fast enough would hold the dispatcher for as long as it likes:
/// beyond this a writer thread takes over, as for one whose socket is full.
const MAX_NONBLOCKING_SENDS: u32 = 64;

/// What one queued item costs beside its bytes: its slot in the channel and the header of a buffer that may be its own.
const ITEM_OVERHEAD: usize = 128;

enum Item {
    /// One or more whole frames, or the handshake's answer.
    Frames(Bytes),
    /// A Close frame.
    Close(Bytes),
}

impl Item {
    fn bytes(&self) -> &Bytes {
        match self {
            Item::Frames(bytes) | Item::Close(bytes) => bytes,
        }
    }

    /// What it adds to the backlog, in bytes.
    fn cost(&self) -> usize {
        self.bytes().len() + ITEM_OVERHEAD
    }
}

/// What the holder of the drain knows.
struct Drain {
    /// The item that is being written, and how many of its bytes the socket has taken.
    current: Option<(Item, usize)>,
    /// A writer thread has been started, or is about to be: whoever does not wait leaves the writing to it.
    writer: bool,
}

/// The way to one client. Shared by its own thread, the dispatcher, and the writer thread it may have.
pub(crate) struct Outbound {
    socket: TcpStream,
    peer: SocketAddr,
    items: (Sender<Item>, Receiver<Item>),
    drain: Mutex<Drain>,
    /// Bytes in `items` and in `drain.current`, with [`ITEM_OVERHEAD`] for each item.
    backlog: AtomicUsize,
    max_backlog: usize,
    /// A Close has been queued, or the client was cut off: nothing more is accepted.
    closed: AtomicBool,
    /// The Close has been written: what is still found in the channel came too late.
    finished: AtomicBool,
    /// Why the client was cut off, if it was.
    cut: OnceLock<DisconnectReason>,
}

impl Outbound {
    /// Takes the socket over, a blocking one. The handshake's answer comes before everything else, and is written when
    /// [`begin`](Outbound::begin) is called or something else is sent. More than `max_backlog` waiting bytes cut the
    /// client off.
    pub(crate) fn new(
        socket: TcpStream,
        peer: SocketAddr,
        answer: Bytes,
        max_backlog: usize,
    ) -> io::Result<Arc<Outbound>> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let answer = Item::Frames(answer);
        Ok(Arc::new(Outbound {
            socket,
            peer,
            items: crossbeam_channel::unbounded(),
            backlog: AtomicUsize::new(answer.cost()),
            drain: Mutex::new(Drain {
                current: Some((answer, 0)),
                writer: false,
            }),
            max_backlog,
            closed: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            cut: OnceLock::new(),
        }))
    }

    /// The socket, for reading and for its options. Only this module writes to it.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Where the client is.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether a Close was queued, or the client cut off: nothing more is accepted.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether a Close has been written.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Whether something waits that the socket has not taken.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) > 0
    }

    /// Why the client was cut off, if it was.
    pub(crate) fn cut_reason(&self) -> Option<DisconnectReason> {
        self.cut.get().cloned()
    }

    /// Writes the handshake's answer, as far as the socket takes it at once.
    ///
    /// For the dispatcher: Linux keeps 32 KiB for the next frame of each thread that sends, and the connection's own
    /// thread may never have to. An idle client costs the machine 40 KB that way, instead of 75.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.drain_now(None);
    }

    /// Queues whole frames and writes what the socket takes at once. Any thread; never waits for the client.
    pub(crate) fn send(self: &Arc<Self>, frames: Bytes) {
        if !self.is_closed() {
            self.drain_now(Some(Item::Frames(frames)));
        }
    }

    /// Queues whole frames and writes all that is queued, waiting for a slow client up to the write deadline.
    ///
    /// For a connection whose only source is its own thread, which slows its client down by not reading meanwhile.
    pub(crate) fn send_waiting(self: &Arc<Self>, frames: Bytes) {
        if self.is_closed() {
            return;
        }
        self.queue(Item::Frames(frames));
        match self.drain.lock() {
            Ok(mut drain) => self.write_waiting(&mut drain),
            Err(_) => self.cut(DisconnectReason::InternalError),
        }
        self.drain_now(None);
    }

    /// Queues a Close frame as the last thing that this client gets. Any thread; never waits for the client.
    pub(crate) fn close(self: &Arc<Self>, frame: Bytes) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            self.drain_now(Some(Item::Close(frame)));
        }
    }

    /// Ends the connection now, whatever still waits. The first reason is the one that counts. Any thread.
    pub(crate) fn cut(&self, why: DisconnectReason) {
        self.closed.store(true, Ordering::Relaxed);
        if self.cut.set(why).is_ok() {
            // Without this the kernel would keep what the client never read, megabytes of it, long after us.
            // Neither call can fail in a way that leaves something to do: the connection may be gone already.
            let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends the connection after its last word: what the kernel still has to send is sent. Any thread.
    pub(crate) fn end(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // An error means that the connection is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Puts an item into the channel, and cuts the client off if that is more than may wait.
    fn queue(&self, item: Item) {
        let backlog = self.backlog.fetch_add(item.cost(), Ordering::Relaxed) + item.cost();
        // This struct holds both ends, so the channel cannot be disconnected.
        let _ = self.items.0.send(item);
        if backlog > self.max_backlog {
            self.cut(DisconnectReason::BacklogExceeded { backlog });
        }
    }

    /// Writes what is queued, and then `item`, as far as the socket takes it at once.
    fn drain_now(self: &Arc<Self>, mut item: Option<Item>) {
        let sends = Cell::new(0);
        let send = |bytes: &[u8]| match sends.replace(sends.get() + 1) {
            0..MAX_NONBLOCKING_SENDS => send_now(&self.socket, bytes),
            _ => Err(ErrorKind::WouldBlock.into()),
        };
        loop {
            let mut drain = match self.drain.try_lock() {
                Ok(drain) if !drain.writer => drain,
                // With a writer there, the lock is held while queueing: it can't retire in between.
                Ok(_) | Err(TryLockError::WouldBlock) => match item.take() {
                    Some(item) => {
                        self.queue(item);
                        // Pairs with the fence below: either this thread gets the lock now, or the one that held it
                        // finds the item. Neither the lock's nor the channel's own ordering promises that.
                        fence(Ordering::SeqCst);
                        continue;
                    }
                    None => return,
                },
                Err(TryLockError::Poisoned(_)) => return self.cut(DisconnectReason::InternalError),
            };
            let mut result = self.write_queued(&mut drain, send);
            if let Some(item) = item.take() {
                if result.is_ok() {
                    // Through the channel a small frame costs a tenth more (6.3 against 5.5 µs to each of 1000 clients).
                    self.backlog.fetch_add(item.cost(), Ordering::Relaxed);
                    drain.current = Some((item, 0));
                    result = self.write_queued(&mut drain, send);
                } else {
                    self.queue(item);
                }
            }
            if let Err(full) = result {
                return self.got_stuck(drain, full);
            }
            drop(drain);
            fence(Ordering::SeqCst);
            if self.backlog.load(Ordering::Relaxed) == 0 || self.items.1.is_empty() {
                return;
            }
        }
    }

    /// The socket takes nothing more, or is broken.
    fn got_stuck(self: &Arc<Self>, mut drain: MutexGuard<'_, Drain>, error: io::Error) {
        if error.kind() != ErrorKind::WouldBlock {
            return self.cut(DisconnectReason::ConnectionLost(error.kind()));
        }
        drain.writer = true;
        drop(drain);
        log::debug!(
            "{} has fallen behind, a writer thread takes over",
            self.peer
        );
        let outbound = Arc::clone(self);
        let writer = thread::Builder::new()
            .name("writer".into())
            .stack_size(CLIENT_STACK_SIZE);
        if writer.spawn(move || outbound.run_writer()).is_err() {
            self.cut(DisconnectReason::NoWriterThread);
        }
    }

    /// The writer thread: writes, waiting for the client, until that has caught up and stayed so, or is cut off.
    fn run_writer(self: Arc<Self>) {
        let _guard = CutOnPanic(&self);
        log::debug!("{}: writing behind", self.peer);
        loop {
            let Ok(mut drain) = self.drain.lock() else {
                return self.cut(DisconnectReason::InternalError);
            };
            self.write_waiting(&mut drain);
            if self.is_finished() || self.cut.get().is_some() {
                return;
            }
            drop(drain);
            // Only looks: what it took out of the channel, nobody else could write before it has the drain again.
            let mut more = Select::new();
            more.recv(&self.items.1);
            if more.ready_timeout(WRITER_IDLE_TIMEOUT).is_err() {
                break;
            }
        }
        if let Ok(mut drain) = self.drain.lock() {
            drain.writer = false;
        }
        log::debug!("{} has caught up", self.peer);
        self.drain_now(None);
    }

    /// Writes everything queued, waiting up to [`WRITE_TIMEOUT`] each time the socket takes nothing.
    fn write_waiting(&self, drain: &mut Drain) {
        if let Err(error) = self.write_queued(drain, |bytes| (&self.socket).write(bytes)) {
            self.cut(match error.kind() {
                // How a blocking socket with a timeout reports that the time is over.
                ErrorKind::WouldBlock | ErrorKind::TimedOut => DisconnectReason::WriteTimeout,
                kind => DisconnectReason::ConnectionLost(kind),
            });
        }
    }

    /// Writes until the channel is empty or `write` fails; what the socket did not take stays in the drain.
    fn write_queued(
        &self,
        drain: &mut Drain,
        write: impl Fn(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while let Some((item, mut written)) = drain.current.take().or_else(|| self.next_item()) {
            while !self.is_finished() && written < item.bytes().len() {
                match write(&item.bytes()[written..]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(n) => written += n,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        drain.current = Some((item, written));
                        return Err(error);
                    }
                }
            }
            self.backlog.fetch_sub(item.cost(), Ordering::Relaxed);
            if let Item::Close(_) = item {
                self.finished.store(true, Ordering::Relaxed);
                // An error means that the connection is gone already.
                let _ = self.socket.shutdown(Shutdown::Write);
            }
        }
        Ok(())
    }

    /// The next item in the channel, and that none of it is written.
    fn next_item(&self) -> Option<(Item, usize)> {
        // The channel is several cache lines away, and mostly empty.
        if self.backlog.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some((self.items.1.try_recv().ok()?, 0))
    }
}

/// A send that takes what fits into the socket's buffer and never waits, though the socket is a blocking one.
#[cfg(unix)]
fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;
    Ok(rustix::net::send(
        socket,
        bytes,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    )?)
}

/// Without such a send every frame goes by the writer thread.
#[cfg(not(unix))]
fn send_now(_: &TcpStream, _: &[u8]) -> io::Result<usize> {
    Err(ErrorKind::WouldBlock.into())
}

/// A writer that panics would leave a client that hears nothing and is never missed.
struct CutOnPanic<'a>(&'a Outbound);

impl Drop for CutOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cut(DisconnectReason::InternalError);
        }
    }
}

#[cfg(test)]
mod tests;
