//! Step 3: a message of one client goes to everybody.
//!
//! - Adds: two WebSockets for each connection: one to read from, which has no lock, and one to write to, in the list.
//! - Breaks: the sender's thread writes to everybody, and holds the list. A client that does not read what it is sent
//!   stops that thread, and then all others.
//! - See it break: stop a client with Ctrl-Z, then talk without an end in another terminal:
//!   `while sleep 0.01; do echo $(seq 10000); done | cargo run -q --example client > /dev/null`.
//! - Next: `4_names.rs` limits the time of a write, and unlocks the list before it writes.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept};

/// The WebSockets to write to, by the addresses of their clients.
type Connections = Arc<Mutex<HashMap<SocketAddr, WebSocket<TcpStream>>>>;

// About `lock().unwrap()`: it panics if a thread panicked while it held the lock, and no thread here does.

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let connections = Connections::default();
    let announcer = Arc::clone(&connections);
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            // An error here is a client's that is leaving. Its own thread removes it.
            let _ = broadcast(&announcer, &Message::text(line));
        }
    });
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
    let client = stream.peer_addr()?;
    let mut writer = accept(stream)?;
    let muted = Muted(writer.get_ref().try_clone()?);
    let mut reader = WebSocket::from_raw_socket(muted, Role::Server, None);
    writer.send(Message::text("You are connected!"))?;
    println!("Adding user!");
    connections.lock().unwrap().insert(client, writer);
    let result = talk(client, &mut reader, connections);
    println!("Removing user!");
    connections.lock().unwrap().remove(&client);
    Ok(result?)
}

/// Passes on what one client sends, until its connection ends.
fn talk(
    client: SocketAddr,
    reader: &mut WebSocket<Muted>,
    connections: &Connections,
) -> tungstenite::Result<()> {
    loop {
        let message = reader.read()?;
        // What tungstenite would answer by itself. See `Muted`.
        let answer = match message {
            Message::Text(_) => {
                broadcast(connections, &message)?;
                continue;
            }
            Message::Ping(payload) => Message::Pong(payload),
            Message::Close(frame) => Message::Close(frame),
            _ => continue,
        };
        if let Some(writer) = connections.lock().unwrap().get_mut(&client) {
            writer.send(answer)?;
        }
    }
}

/// Sends a message to all clients. The list is locked until the last of them has taken it.
fn broadcast(connections: &Connections, message: &Message) -> tungstenite::Result<()> {
    for writer in connections.lock().unwrap().values_mut() {
        // This is where it breaks: `send` waits while the client's buffers are full.
        writer.send(message.clone())?;
    }
    Ok(())
}

/// A socket that is read only. tungstenite answers Pings and Closes at the next read; a thread that reads must not write
/// to the same socket as another one, or a frame could end up in the middle of another frame.
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
