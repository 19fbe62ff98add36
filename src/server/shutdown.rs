//! Shutting a server down.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The time for the local connection that wakes the acceptor.
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);

/// Shuts a server down, from any thread. It can be cloned.
#[derive(Clone)]
pub struct ShutdownHandle {
    listener: Weak<TcpListener>,
    address: SocketAddr,
    shutting_down: Arc<AtomicBool>,
}

impl ShutdownHandle {
    pub(super) fn new(listener: &Arc<TcpListener>, address: SocketAddr) -> ShutdownHandle {
        ShutdownHandle {
            listener: Arc::downgrade(listener),
            address,
            shutting_down: Arc::default(),
        }
    }

    /// Stops accepting clients and closes all connections with code 1001. [`Server::run`](super::Server::run) returns
    /// when all clients have disconnected. They have 5 seconds to reply, and 2 more if their reply is invalid. Returns at
    /// once. Further calls have no effect.
    pub fn shutdown(&self) {
        self.shutting_down.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.upgrade() {
            // Ends `accept` on Linux. On other systems a connection wakes it, which the acceptor drops.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
            let _ = TcpStream::connect_timeout(&self.address, WAKE_TIMEOUT);
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::SeqCst)
    }
}

/// Shuts the server down when it is dropped.
pub(super) struct ShutdownOnDrop(pub(super) ShutdownHandle);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}
