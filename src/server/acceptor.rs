//! The acceptors, one for each listener: they accept clients until the server shuts down.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::shutdown::{ShutdownHandle, ShutdownOnDrop};
use crate::net::Listener;

/// The pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The time between two log lines about such failures.
const ACCEPT_ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts clients at all listeners until the server shuts down. The calling thread is the acceptor of the first listener. The end
/// of one acceptor, even by a panic, ends the others.
///
/// # Errors
///
/// The system has no thread for another acceptor.
pub(super) fn run(
    listeners: &[Listener],
    admission: &Mutex<Admission>,
    shutdown: &ShutdownHandle,
) -> io::Result<()> {
    let accept = |listener| {
        let _at_end = ShutdownOnDrop(shutdown.clone());
        accept_clients(listener, admission, shutdown);
    };
    thread::scope(|scope| {
        let _at_end = ShutdownOnDrop(shutdown.clone());
        let Some((first, others)) = listeners.split_first() else {
            return Ok(());
        };
        for listener in others {
            thread::Builder::new()
                .name("acceptor".into())
                .spawn_scoped(scope, move || accept(listener))?;
        }
        accept(first);
        Ok(())
    })
}

/// Accepts clients until the server shuts down. Waits for the next client.
fn accept_clients(listener: &Listener, admission: &Mutex<Admission>, shutdown: &ShutdownHandle) {
    let mut last_logged: Option<Instant> = None;
    loop {
        match listener.accept(shutdown.waker()) {
            Ok(None) => return,
            Ok(Some(stream)) => lock(admission).admit(stream),
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                if last_logged.is_none_or(|at| at.elapsed() > ACCEPT_ERROR_LOG_INTERVAL) {
                    log::error!("cannot accept: {error}; retrying every {ACCEPT_BACKOFF:?}");
                    last_logged = Some(Instant::now());
                }
                // Frees the descriptor of a pending handshake.
                lock(admission).evict_one();
                thread::sleep(ACCEPT_BACKOFF);
            }
        }
    }
}

/// Locks the admission, for no longer than the start of a thread. A panic of an acceptor ends the server.
fn lock(admission: &Mutex<Admission>) -> MutexGuard<'_, Admission> {
    admission.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether an error concerns only a connection that broke before it was accepted. Linux passes on the network's
/// errors of that connection (accept(2)).
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}
