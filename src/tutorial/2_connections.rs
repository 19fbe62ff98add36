//! Step 2: a thread for each client, and a list of the open connections.
//!
//! - Adds: threads; a list with a lock, in which each connection stays until its end, however it ends; and a use for the
//!   list: a line that is typed into the server's terminal goes to every client.
//! - Breaks: the thread that reads from a client holds the lock of its WebSocket while it waits, so no other thread can
//!   write to a client that is silent.
//! - See it break: `cargo run -q --example client` in another terminal, then type a line here.
//! - Next: `3_broadcast.rs` separates reading from writing.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tungstenite::{Message, WebSocket, accept};

type Socket = Arc<Mutex<WebSocket<TcpStream>>>;
type Connections = Arc<Mutex<Vec<Socket>>>;

// About `lock().unwrap()`: it panics if a thread panicked while it held the lock, and no thread here does.

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let connections = Connections::default();
    let announcer = Arc::clone(&connections);
    thread::spawn(move || announce(&announcer));
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

/// Sends each line of the standard input to all clients.
fn announce(connections: &Connections) {
    for line in io::stdin().lines().map_while(Result::ok) {
        for socket in connections.lock().unwrap().iter() {
            // This is where it breaks: `talk` holds this lock nearly all the time.
            let mut socket = socket.lock().unwrap();
            // An error here means that the client is leaving. Its own thread removes it.
            let _ = socket.send(Message::text(&line));
        }
    }
}

/// Serves one client. Between adding and removing there is no `?`, so that an error cannot skip the removal.
fn serve(stream: TcpStream, connections: &Connections) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let socket = Arc::new(Mutex::new(accept(stream)?));
    println!("Adding user!");
    connections.lock().unwrap().push(Arc::clone(&socket));
    let result = talk(&socket);
    println!("Removing user!");
    let mut connections = connections.lock().unwrap();
    connections.retain(|other| !Arc::ptr_eq(other, &socket));
    // `?` turns tungstenite's error into the boxed one.
    Ok(result?)
}

/// Echoes what one client sends, until its connection ends.
fn talk(socket: &Socket) -> tungstenite::Result<()> {
    let greeting = Message::text("You are connected!");
    socket.lock().unwrap().send(greeting)?;
    loop {
        // The lock is held until this statement ends: while the client is silent.
        let message = socket.lock().unwrap().read()?;
        if let Message::Text(text) = message {
            let echo = Message::text(format!("You said: {text}"));
            socket.lock().unwrap().send(echo)?;
        }
    }
}
