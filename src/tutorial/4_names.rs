//! Step 4: every user has a name, and a client that takes nothing stops the others for a second at most.
//!
//! - Adds: the names `user0`, `user1`, … from an atomic counter; the number of users in the greeting; a lock for each
//!   client, so that the list is unlocked during a write; a limit to the time of a write.
//! - Breaks: if two users speak at once, some see one of them first, and some the other. And the error of a client that
//!   does not read ends the connection of the user who spoke.
//! - See it break: stop a client with Ctrl-Z, then talk without an end in another terminal:
//!   `while sleep 0.01; do echo $(seq 10000); done | cargo run -q --example client > /dev/null`.
//! - Next: `5_dispatcher.rs` leaves the list to one thread.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept};

/// A write that makes no progress for this long fails.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of the next user. An atomic needs no lock: each call of `fetch_add` returns another number. `Relaxed` is
/// enough, because no other memory depends on it.
static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

type Writer = Arc<Mutex<WebSocket<TcpStream>>>;
type Connections = Arc<Mutex<BTreeMap<usize, Writer>>>;

// About `lock().unwrap()`: it panics if a thread panicked while it held the lock, and no thread here does.

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let connections = Connections::default();
    for stream in listener.incoming().flatten() {
        let connections = Arc::clone(&connections);
        thread::spawn(move || {
            if let Err(error) = serve(stream, &connections) {
                println!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(stream: TcpStream, connections: &Connections) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let writer = accept(stream)?;
    let muted = Muted(writer.get_ref().try_clone()?);
    let mut reader = WebSocket::from_raw_socket(muted, Role::Server, None);
    let writer = Arc::new(Mutex::new(writer));
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    println!("Adding user{id}!");
    let users = {
        let mut connections = connections.lock().unwrap();
        connections.insert(id, Arc::clone(&writer));
        connections.len()
    };
    let greeting = format!("You are connected! There are {users} users here.");
    let result = send(&writer, Message::text(greeting))
        .and_then(|()| talk(id, &mut reader, &writer, connections));
    println!("Removing user{id}!");
    connections.lock().unwrap().remove(&id);
    Ok(result?)
}

/// Passes on what one client sends, until its connection ends.
fn talk(
    id: usize,
    reader: &mut WebSocket<Muted>,
    writer: &Writer,
    connections: &Connections,
) -> tungstenite::Result<()> {
    loop {
        match reader.read()? {
            // The first break: an error of any receiver leaves this loop, which is the sender's.
            Message::Text(text) => broadcast(connections, &format!("[user{id}]: {text}"))?,
            Message::Ping(payload) => send(writer, Message::Pong(payload))?,
            Message::Close(frame) => send(writer, Message::Close(frame))?,
            _ => {}
        }
    }
}

/// Sends a text to all clients. The list is locked only while it is copied.
fn broadcast(connections: &Connections, text: &str) -> tungstenite::Result<()> {
    let writers: Vec<Writer> = connections.lock().unwrap().values().cloned().collect();
    for writer in writers {
        // The second break: between two clients, another thread can overtake this one.
        send(&writer, Message::text(text))?;
    }
    Ok(())
}

fn send(writer: &Writer, message: Message) -> tungstenite::Result<()> {
    let mut writer = writer.lock().unwrap();
    let result = writer.send(message);
    if result.is_err() {
        // The rest of a frame may be missing, so nothing can follow. This ends the read of the client's own thread, too.
        let _ = writer.get_ref().shutdown(Shutdown::Both);
    }
    result
}

/// A socket that is read only, as in step 3.
struct Muted(TcpStream);

impl Read for Muted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Muted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
