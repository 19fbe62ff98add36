//! The terminal client: a thread that prints, and a loop that sends.
//!
//! - Adds: nothing to the server. Every step of it can be used with this client.
//! - Breaks: a message that arrives is printed into the line that is being typed.
//! - See it break: run it in two terminals; type half a line in one, then send a line from the other.
//! - Next: `src/bin/threadchat-client`, which draws the line again below each message.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

type Writer = Arc<Mutex<WebSocket<TcpStream>>>;

// About `lock().unwrap()`: it panics if a thread panicked while it held the lock, and no thread here does.

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let stream = TcpStream::connect(&address)?;
    stream.set_nodelay(true)?;
    // The writing one needs no handshake: the one that reads does it, and is muted then.
    let writer = WebSocket::from_raw_socket(stream.try_clone()?, Role::Client, None);
    let writer = Arc::new(Mutex::new(writer));
    let socket = Socket {
        stream,
        muted: false,
    };
    let (mut reader, _) = tungstenite::client(format!("ws://{address}/chat"), socket)?;
    reader.get_mut().muted = true;
    let answers = Arc::clone(&writer);
    let printer = thread::spawn(move || print_messages(&mut reader, &answers));
    if let Err(error) = send_lines(&writer) {
        eprintln!("Error while sending: {error}");
    }
    // The server answers the Close, and with that the printer ends. If the connection has ended already, so has the printer.
    let _ = writer.lock().unwrap().close(None);
    let _ = printer.join();
    println!("Connection closed. Goodbye!");
    Ok(())
}

/// Sends each line that is typed, until `exit` or the end of the input.
fn send_lines(writer: &Writer) -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        let line = line?;
        if line.eq_ignore_ascii_case("exit") {
            break;
        }
        writer.lock().unwrap().send(Message::text(line))?;
    }
    Ok(())
}

/// Prints what arrives, until the connection ends.
fn print_messages(reader: &mut WebSocket<Socket>, writer: &Writer) {
    let error = loop {
        match reader.read() {
            // This is where it breaks: the cursor can be in the middle of a line that is being typed.
            Ok(Message::Text(text)) => println!("{text}"),
            Ok(Message::Ping(payload)) => {
                // If this fails, so does the next read.
                let _ = writer.lock().unwrap().send(Message::Pong(payload));
            }
            Ok(Message::Close(frame)) => {
                let _ = writer.lock().unwrap().close(frame);
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    // A server that closes the connection without a Close, or resets it.
    if !matches!(error, tungstenite::Error::ConnectionClosed) {
        eprintln!("Error while receiving: {error}");
    }
    // Sending fails from now on.
    let _ = reader.get_ref().stream.shutdown(Shutdown::Both);
}

/// A socket that can be muted after the handshake, so that the thread that reads does not write, too: a frame could end up
/// in the middle of another frame.
struct Socket {
    stream: TcpStream,
    muted: bool,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.muted {
            true => Ok(bytes.len()),
            false => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
