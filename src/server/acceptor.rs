//! The acceptor: accepts clients until the server shuts down.

use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::shutdown::ShutdownHandle;

/// The pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The time between two log lines about such failures.
const ACCEPT_ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts clients until the server shuts down. Waits for the next client.
pub(super) fn run(listener: &TcpListener, admission: &mut Admission, shutdown: &ShutdownHandle) {
    let mut last_logged: Option<Instant> = None;
    loop {
        let accepted = listener.accept();
        if shutdown.is_shutting_down() {
            return;
        }
        match accepted {
            Ok((socket, peer)) => admission.admit(socket, peer),
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                if last_logged.is_none_or(|at| at.elapsed() > ACCEPT_ERROR_LOG_INTERVAL) {
                    log::error!("cannot accept: {error}; retrying every {ACCEPT_BACKOFF:?}");
                    last_logged = Some(Instant::now());
                }
                // Frees the descriptor of a pending handshake.
                admission.evict_one();
                thread::sleep(ACCEPT_BACKOFF);
            }
        }
    }
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
