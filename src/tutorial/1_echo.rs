//! Step 1: an echo over WebSocket.
//!
//! - Adds: the opening handshake, reading and sending messages.
//! - Breaks: `main` serves one client at a time, so a second one waits until the first has left.
//! - See it break: `cargo run -q --example client` in two terminals.
//! - Next: `2_connections.rs` gives each client a thread.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::net::{TcpListener, TcpStream};

use tungstenite::{Message, accept};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    // `flatten` skips errors: a client can leave before it is accepted.
    for stream in listener.incoming().flatten() {
        // The next client waits here in the system's queue. Its TCP connection is open, but nothing answers its handshake.
        if let Err(error) = serve(stream) {
            println!("{error}");
        }
    }
    Ok(())
}

/// Serves one client until its connection ends. That is an error of `read` or `send`, which are the ways out of the loop.
fn serve(stream: TcpStream) -> Result<(), Box<dyn Error>> {
    // Without this, TCP can hold a small message back until the one before it is confirmed.
    stream.set_nodelay(true)?;
    let mut socket = accept(stream)?;
    socket.send(Message::text("You are connected!"))?;
    loop {
        // tungstenite answers a Ping or a Close at the next read. After the Close, that read returns an error.
        if let Message::Text(text) = socket.read()? {
            socket.send(Message::text(format!("You said: {text}")))?;
        }
    }
}
