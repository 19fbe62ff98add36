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
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, env, error::Error, thread};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Message, WebSocket, accept};

const MAX_EVENTS: usize = 64;
const MAX_MESSAGE: usize = 64 << 10; // bytes
const MAX_QUEUED: usize = 1 << 20; // bytes for one client
const OVERHEAD: usize = 64; // bytes that a queued message takes besides its text
const IDLE: Duration = Duration::from_secs(5); // before a Ping, and then before the removal
const STOP: Duration = Duration::from_secs(2); // for the clients to answer the last Close

static NEXT_ID: AtomicUsize = AtomicUsize::new(0);

enum Event {
    Joined(usize, Client),
    Received(usize, Message),
    Silent(usize),
    Left(usize),
    Stop,
}

/// The queue of a client, and the number of bytes in it.
type Client = (Sender<Message>, Arc<AtomicUsize>);

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("listening at ws://{}/chat", listener.local_addr()?);
    let (events, inbox) = bounded(MAX_EVENTS);
    let dispatcher = thread::spawn(move || dispatch(&inbox));
    let acceptor = events.clone();
    // This thread ends with the program, which ends when `main` returns.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = acceptor.clone();
            thread::spawn(move || serve(stream, &events).map_err(|error| println!("{error}")));
        }
    });
    let mut lines = io::stdin().lines().map_while(Result::ok);
    lines.find(|line| line == "quit");
    events.send(Event::Stop)?;
    Ok(dispatcher.join().map_err(|_| "the dispatcher panicked")?)
}

fn dispatch(inbox: &Receiver<Event>) {
    let mut clients = BTreeMap::new();
    for event in inbox {
        match event {
            Event::Joined(id, client) => {
                println!("Adding user{id}!");
                clients.insert(id, client);
                let users = clients.len();
                let greeting = format!("You are connected! There are {users} users here.");
                send(&mut clients, id, greeting.into());
            }
            Event::Received(id, Message::Text(text)) => {
                broadcast(&mut clients, &format!("[user{id}]: {text}").into());
            }
            Event::Received(id, Message::Ping(data)) => send(&mut clients, id, Message::Pong(data)),
            Event::Received(id, close @ Message::Close(_)) => send(&mut clients, id, close),
            Event::Received(..) => {}
            Event::Silent(id) => send(&mut clients, id, Message::Ping("".into())),
            Event::Left(id) => drop(clients.remove(&id).map(|_| println!("Removing user{id}!"))),
            Event::Stop => break,
        }
    }
    let (code, reason) = (CloseCode::Away, "the server stops".into());
    broadcast(
        &mut clients,
        &Message::Close(Some(CloseFrame { code, reason })),
    );
    let deadline = Instant::now() + STOP;
    while let (false, Ok(event)) = (clients.is_empty(), inbox.recv_deadline(deadline)) {
        if let Event::Left(id) = event {
            clients.remove(&id);
        }
    }
}

fn broadcast(clients: &mut BTreeMap<usize, Client>, message: &Message) {
    for id in clients.keys().copied().collect::<Vec<_>>() {
        send(clients, id, message.clone());
    }
}

/// Puts a message into the queue of a client, or removes the client if it has too much there.
fn send(clients: &mut BTreeMap<usize, Client>, id: usize, message: Message) {
    let Some((queue, queued)) = clients.get(&id) else {
        return;
    };
    let bytes = message.len() + OVERHEAD;
    if queued.fetch_add(bytes, Relaxed) + bytes <= MAX_QUEUED {
        let _ = queue.send(message);
    } else {
        println!("Removing user{id}, who is too slow!");
        // This drops the queue's end, too, so the writer ends after a last attempt to write, and then the reader.
        clients.remove(&id);
    }
}

fn serve(stream: TcpStream, events: &Sender<Event>) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let writer = accept(stream)?;
    let muted = Muted(writer.get_ref().try_clone()?);
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
    let mut reader = WebSocket::from_raw_socket(muted, Role::Server, Some(limits));
    let id = NEXT_ID.fetch_add(1, Relaxed);
    let ((queue, messages), queued) = (unbounded(), Arc::new(AtomicUsize::new(0)));
    events.send(Event::Joined(id, (queue, Arc::clone(&queued))))?;
    thread::spawn(move || write(writer, &messages, &queued));
    let mut pinged = false;
    loop {
        let event = match reader.read() {
            Err(tungstenite::Error::Io(e)) if e.kind() == ErrorKind::WouldBlock && !pinged => {
                Event::Silent(id)
            }
            Err(_) => break,
            Ok(message) => Event::Received(id, message),
        };
        pinged = matches!(event, Event::Silent(_));
        events.send(event)?;
    }
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
