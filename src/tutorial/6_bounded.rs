//! Step 6: limits for each client, and a clean stop.
//!
//! - Adds: a limit of bytes in each queue, above which the client is removed; Pings to silent clients, and the removal of
//!   those that do not answer; a size limit of messages; a clean stop at the line `quit` or the end of the input (Ctrl-D).
//! - Breaks: nothing, but each message wakes a thread for each client that receives it, which costs more than the writing.
//! - See it break: `cat /proc/$(pgrep -x 6_bounded)/task/*/status | grep ^vol`, before and after a message.
//! - Next: `src/server/mod.rs`. The chapter's last page leads there.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, env, error::Error, thread};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error::Io, Message, Utf8Bytes, WebSocket, accept};

const MAX_MESSAGE: usize = 64 << 10; // bytes
const MAX_QUEUED: usize = 1 << 20; // bytes for one client
const OVERHEAD: usize = 64; // bytes that a queued message takes besides its text
const IDLE: Duration = Duration::from_secs(5); // before a Ping, and for its answer; for a write; for the stop
static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

enum Event {
    Joined(usize, Client),
    Said(usize, Utf8Bytes),
    Control(usize, Message),
    Left(usize),
    Stop,
}

/// The queue of a client, and the number of bytes in it.
type Client = (Sender<Message>, Arc<AtomicUsize>);

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(env::args().nth(1).unwrap_or("127.0.0.1:8080".into()))?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let (events, inbox) = bounded(64);
    let dispatcher = thread::spawn(move || dispatch(&inbox));
    let acceptor = events.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = acceptor.clone();
            thread::spawn(move || serve(stream, &events).map_err(|error| println!("{error}")));
        }
    });
    (io::stdin().lines().map_while(Result::ok)).find(|line| line == "quit");
    events.send(Event::Stop)?;
    Ok(dispatcher.join().map_err(|_| "the dispatcher panicked")?)
}

fn dispatch(inbox: &Receiver<Event>) {
    let mut clients = BTreeMap::new();
    for event in inbox {
        match event {
            Event::Joined(id, client) => {
                let users = clients.len() + 1;
                let greeting = format!("You are connected! There are {users} users here.");
                send(&client, greeting.into());
                clients.insert(id, client);
            }
            Event::Said(id, text) => broadcast(&mut clients, format!("[user{id}]: {text}").into()),
            Event::Control(id, message) => _ = clients.get(&id).map(|client| send(client, message)),
            Event::Left(id) => _ = clients.remove(&id),
            Event::Stop => break,
        }
    }
    let (code, reason) = (CloseCode::Away, "the server stops".into());
    let close = CloseFrame { code, reason };
    broadcast(&mut clients, Message::Close(Some(close)));
    let deadline = Instant::now() + IDLE;
    while !clients.is_empty() {
        match inbox.recv_deadline(deadline) {
            Ok(Event::Left(id)) => _ = clients.remove(&id),
            Ok(_) => {}
            Err(_) => break,
        }
    }
}

/// Removes the clients that have too much in their queue. Without its other end, a queue's writer ends when it is empty.
fn broadcast(clients: &mut BTreeMap<usize, Client>, message: Message) {
    clients.retain(|_, client| send(client, message.clone()));
}

/// Queues a message and returns true, unless the client has too much in its queue. `fetch_add` returns the number before.
fn send((queue, queued): &Client, message: Message) -> bool {
    let bytes = message.len() + OVERHEAD;
    queued.fetch_add(bytes, Relaxed) + bytes <= MAX_QUEUED && queue.send(message).is_ok()
}

fn serve(stream: TcpStream, events: &Sender<Event>) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let writer = accept(stream.try_clone()?)?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut reader = WebSocket::from_raw_socket(Muted(stream), Role::Server, Some(limits));
    let id = NEXT_ID.fetch_add(1, Relaxed);
    let ((queue, messages), queued) = (unbounded(), Arc::new(AtomicUsize::new(0)));
    println!("Adding user{id}!");
    events.send(Event::Joined(id, (queue, Arc::clone(&queued))))?;
    thread::spawn(move || write(writer, &messages, &queued));
    let mut pinged = false;
    loop {
        let read = reader.read();
        let timeout = matches!(&read, Err(Io(error)) if error.kind() == ErrorKind::WouldBlock);
        let event = match read {
            Ok(Message::Text(text)) => Some(Event::Said(id, text)),
            Ok(Message::Ping(data)) => Some(Event::Control(id, Message::Pong(data))),
            Ok(Message::Close(frame)) => Some(Event::Control(id, Message::Close(frame))),
            Ok(_) => None,
            Err(_) if timeout && !pinged => Some(Event::Control(id, Message::Ping("".into()))),
            Err(_) => break,
        };
        pinged = timeout;
        event.map_or(Ok(()), |event| events.send(event))?;
    }
    println!("Removing user{id}!");
    Ok(events.send(Event::Left(id))?)
}

fn write(mut writer: WebSocket<TcpStream>, messages: &Receiver<Message>, queued: &AtomicUsize) {
    let _ = messages.iter().try_for_each(|message| {
        queued.fetch_sub(message.len() + OVERHEAD, Relaxed);
        writer.send(message)
    });
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
