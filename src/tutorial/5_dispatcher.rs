//! Step 5: one thread owns the list, and the others send it events.
//!
//! - Adds: a dispatcher, which receives events over a channel, so that there is one order of messages and no lock; for each
//!   client a queue, and a writer thread that takes from it, so that the dispatcher never waits for a client.
//! - Breaks: the queue of a client that does not read grows without bound, and a client that vanished without a word stays
//!   in the list for ever.
//! - See it break: stop a client with Ctrl-Z, then talk without an end in another terminal:
//!   `while sleep 0.01; do echo $(seq 10000); done | cargo run -q --example client > /dev/null`, and
//!   look at the memory with `grep VmRSS /proc/$(pgrep -x 5_dispatcher)/status`.
//! - Next: `6_bounded.rs` limits what each client can take.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept};

/// Events that wait for the dispatcher. If there are more, the threads that send them wait: so do the clients behind them.
const MAX_EVENTS: usize = 64;

static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

/// What happens to the user with this number.
enum Event {
    Joined(usize, Sender<Message>),
    Received(usize, Message),
    Left(usize),
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let (events, inbox) = bounded(MAX_EVENTS);
    thread::spawn(move || dispatch(&inbox));
    for stream in listener.incoming().flatten() {
        let events = events.clone();
        thread::spawn(move || {
            if let Err(error) = serve(stream, &events) {
                println!("{error}");
            }
        });
    }
    Ok(())
}

/// Handles one event after the other. It owns the list, so the list needs no lock. It waits for nothing but
/// the next event: not even for a terminal, so the other threads print.
fn dispatch(inbox: &Receiver<Event>) {
    let mut queues: BTreeMap<usize, Sender<Message>> = BTreeMap::new();
    for event in inbox {
        match event {
            Event::Joined(id, queue) => {
                queues.insert(id, queue);
                let users = queues.len();
                let greeting = format!("You are connected! There are {users} users here.");
                send(&queues, id, Message::text(greeting));
            }
            Event::Received(id, Message::Text(text)) => {
                broadcast(&queues, &format!("[user{id}]: {text}"));
            }
            Event::Received(id, Message::Ping(payload)) => {
                send(&queues, id, Message::Pong(payload));
            }
            Event::Received(id, Message::Close(frame)) => send(&queues, id, Message::Close(frame)),
            Event::Received(..) => {}
            Event::Left(id) => _ = queues.remove(&id),
        }
    }
}

fn broadcast(queues: &BTreeMap<usize, Sender<Message>>, text: &str) {
    // Cloning a message does not copy its text.
    let message = Message::text(text);
    for id in queues.keys() {
        send(queues, *id, message.clone());
    }
}

/// Puts a message into the queue of a client. The error of one client is no other's: its own thread notices it, too.
fn send(queues: &BTreeMap<usize, Sender<Message>>, id: usize, message: Message) {
    if let Some(queue) = queues.get(&id) {
        // This is where it breaks: an unbounded queue takes everything.
        let _ = queue.send(message);
    }
}

/// Reads from one client until its connection ends. Its writer has a thread of its own.
fn serve(stream: TcpStream, events: &Sender<Event>) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let writer = accept(stream)?;
    let muted = Muted(writer.get_ref().try_clone()?);
    let mut reader = WebSocket::from_raw_socket(muted, Role::Server, None);
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let (queue, messages) = unbounded();
    thread::spawn(move || write(writer, &messages));
    println!("Adding user{id}!");
    events.send(Event::Joined(id, queue))?;
    while let Ok(message) = reader.read() {
        events.send(Event::Received(id, message))?;
    }
    println!("Removing user{id}!");
    Ok(events.send(Event::Left(id))?)
}

/// Writes the messages of one client's queue, until a write fails, or the dispatcher has dropped the other end of the queue
/// and the queue is empty.
fn write(mut writer: WebSocket<TcpStream>, messages: &Receiver<Message>) {
    let _ = messages.iter().try_for_each(|message| writer.send(message));
    let _ = writer.get_ref().shutdown(Shutdown::Both);
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
