//! Clients that stop reading. Each must be cut off, whether it reads nothing more or a byte now and then.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Endpoint};
use crate::frame;

/// How many there are at a time.
const CLIENTS: usize = 6;

/// A server that still feeds one after this time would feed it for ever. The soak's traffic fills what may wait for a
/// client within seconds, and what the kernel buffers before that in ten.
const LONGEST: Duration = Duration::from_secs(90);

/// Between two looks at them, and two bytes of those that read.
const LOOK: Duration = Duration::from_millis(100);

/// A window that is full soon.
const RECEIVE_BUFFER: usize = 8 << 10;

struct Slow {
    connection: Connection,
    since: Instant,
    trickles: bool,
}

/// Keeps some of them connected until stopped, and counts those that were cut off.
pub fn run(
    endpoint: &Endpoint,
    stop: &AtomicBool,
    connections: &AtomicU64,
    cut_off: &AtomicU64,
) -> Result<(), String> {
    let mut clients = Vec::new();
    let mut opened = 0;
    while !stop.load(Ordering::Relaxed) {
        while clients.len() < CLIENTS {
            clients.push(open(endpoint, opened % 2 == 1)?);
            opened += 1;
            connections.fetch_add(1, Ordering::Relaxed);
        }
        let before = clients.len();
        clients.retain_mut(|client| !is_cut_off(client));
        cut_off.fetch_add((before - clients.len()) as u64, Ordering::Relaxed);
        if let Some(client) = clients
            .iter()
            .find(|client| client.since.elapsed() > LONGEST)
        {
            let how = if client.trickles {
                "a byte now and then"
            } else {
                "nothing"
            };
            return Err(format!(
                "a client that reads {how} was not cut off in {LONGEST:?}"
            ));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn open(endpoint: &Endpoint, trickles: bool) -> Result<Slow, String> {
    let connection = Connection::open(endpoint, None)
        .map_err(|error| format!("a slow client could not connect: {error}"))?;
    // A larger buffer only takes longer to fill.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&connection.socket, RECEIVE_BUFFER);
    Ok(Slow {
        connection,
        since: Instant::now(),
        trickles,
    })
}

/// Each sends a Pong. Without it the server's Ping would end what its backlog is to end; and the kernel of a client
/// whose window is shut takes no reset, so that it would not know.
fn is_cut_off(client: &mut Slow) -> bool {
    let connection = &mut client.connection;
    frame::put(&mut connection.unsent, frame::PONG, b"");
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
