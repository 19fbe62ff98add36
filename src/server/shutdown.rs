//! Shutting a server down.

use std::sync::Arc;

use crate::net::Waker;

/// Shuts a server down, from any thread. It can be cloned.
#[derive(Clone)]
pub struct ShutdownHandle(Arc<Waker>);

impl ShutdownHandle {
    pub(super) fn new(waker: Waker) -> ShutdownHandle {
        ShutdownHandle(Arc::new(waker))
    }

    /// Stops accepting clients and closes all connections with code 1001. [`Server::run`](super::Server::run) returns
    /// when all clients have disconnected. They have 5 seconds to reply, and 2 more if their reply is invalid. Returns at
    /// once. Further calls have no effect.
    pub fn shutdown(&self) {
        self.0.wake();
    }

    /// Returns what ends the acceptors' waits.
    pub(super) fn waker(&self) -> &Waker {
        &self.0
    }
}

/// Shuts the server down when it is dropped.
pub(super) struct ShutdownOnDrop(pub(super) ShutdownHandle);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}
