//! Clients that read nothing, or one byte at a time. The server must disconnect each of them.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Endpoint};
use crate::frame;

/// Slow clients connected at a time.
const CLIENTS: usize = 6;

/// Time by which the server must have disconnected a slow client; a server that has not would serve it forever. The
/// soak's traffic fills the kernel's buffers in ten seconds, and the client's backlog within seconds after that.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(90);

/// Time between two checks of a client. A trickling client reads one byte at each.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Receive buffer in bytes, small so that the TCP window is full soon.
const RECEIVE_BUFFER_SIZE: usize = 8 << 10;

struct SlowClient {
    connection: Connection,
    connected_at: Instant,
    /// The client reads one byte at a time. Otherwise it reads nothing.
    trickles: bool,
}

/// Keeps slow clients connected until stopped, and counts their connections and disconnections.
pub fn run(
    endpoint: &Endpoint,
    stop: &AtomicBool,
    connections: &AtomicU64,
    disconnected: &AtomicU64,
) -> Result<(), String> {
    let mut clients = Vec::new();
    let mut opened = 0;
    while !stop.load(Ordering::Relaxed) {
        while clients.len() < CLIENTS {
            clients.push(connect(endpoint, opened % 2 == 1)?);
            opened += 1;
            connections.fetch_add(1, Ordering::Relaxed);
        }
        let before = clients.len();
        clients.retain_mut(|client| !is_disconnected(client));
        disconnected.fetch_add((before - clients.len()) as u64, Ordering::Relaxed);
        if let Some(client) = clients
            .iter()
            .find(|client| client.connected_at.elapsed() > DISCONNECT_TIMEOUT)
        {
            let rate = if client.trickles {
                "one byte at a time"
            } else {
                "nothing"
            };
            return Err(format!(
                "a client that reads {rate} was not disconnected within {DISCONNECT_TIMEOUT:?}"
            ));
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn connect(endpoint: &Endpoint, trickles: bool) -> Result<SlowClient, String> {
    let connection = Connection::open(endpoint, None)
        .map_err(|error| format!("a slow client could not connect: {error}"))?;
    // Without the small buffer the test only takes longer.
    let _ =
        rustix::net::sockopt::set_socket_recv_buffer_size(&connection.socket, RECEIVE_BUFFER_SIZE);
    Ok(SlowClient {
        connection,
        connected_at: Instant::now(),
        trickles,
    })
}

/// Sends a Pong and returns true if the server has disconnected the client.
///
/// Without the Pong, the server's ping timeout would disconnect the client before its backlog does. Besides, the kernel
/// ignores a reset while the client's receive window is closed, so only a write shows that the connection has ended.
fn is_disconnected(client: &mut SlowClient) -> bool {
    let connection = &mut client.connection;
    frame::encode(&mut connection.unsent, frame::PONG, b"");
    if connection.flush().is_err() {
        return true;
    }
    if !client.trickles {
        return false;
    }
    match connection.socket.read(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
