//! Clients that talk on several nodes and record what they see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use threadchat::protocol::ServerEvent;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message};

use super::chat_checker::{End, Recording, numbered};
use super::cluster::parse;
use super::support::Client;
use super::support::client::request;

/// The longest wait for a chat that goes on after a fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The messages of a talker that are on their way at once.
const WINDOW: usize = 16;

/// Names that several talkers want.
const CONTESTED: [&str; 4] = ["ann", "bob", "cleo", "dan"];

/// A client that sends numbered messages, and connects again whenever its connection ends.
#[derive(Clone)]
pub struct Talker {
    /// The requested name.
    pub name: String,
    /// The nodes, one after the other with each connection.
    pub nodes: Vec<SocketAddr>,
    /// The path, such as `/chat`.
    pub path: &'static str,
    /// The time between two messages. `None`: the talker only listens.
    pub pause: Option<Duration>,
    /// The number of messages after which it leaves and connects again.
    pub stay: Option<usize>,
    /// Whether it renames itself now and then, to a name that others want too.
    pub renames: bool,
}

impl Talker {
    /// Returns one that sends a message every five milliseconds and stays on one node.
    pub fn new(name: &str, node: SocketAddr) -> Talker {
        Talker {
            name: name.to_owned(),
            nodes: vec![node],
            path: "/chat",
            pause: Some(Duration::from_millis(5)),
            stay: None,
            renames: false,
        }
    }
}

/// Talkers, each on a thread.
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Recording>>>,
}

struct Shared {
    start: Instant,
    phase: AtomicU8,
    talkers: Vec<Progress>,
}

/// The phases of a crowd.
const TALKING: u8 = 0;
const SILENT: u8 = 1;
const ENDING: u8 = 2;
const OVER: u8 = 3;

#[derive(Default)]
struct Progress {
    /// The number of its messages that came back.
    received: AtomicUsize,
    connections: AtomicUsize,
    /// Whether it is connected and all it sent came back.
    settled: AtomicBool,
    /// Whether it has received the last message, and the list of users after that.
    done: AtomicBool,
}

impl Crowd {
    /// Starts the talkers.
    pub fn start(talkers: Vec<Talker>) -> Crowd {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            phase: AtomicU8::new(TALKING),
            talkers: talkers.iter().map(|_| Progress::default()).collect(),
        });
        let start = |(sender, talker): (usize, Talker)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Talk::new(talker, sender, &shared).run())
        };
        let threads = talkers.into_iter().enumerate().map(start).collect();
        Crowd { shared, threads }
    }

    /// Waits until all talkers are connected.
    pub fn wait_for_all(&self) {
        self.wait("all are connected", |progress| {
            progress.connections.load(Ordering::Relaxed) > 0
        });
    }

    /// Returns the number of messages that came back to their senders.
    pub fn received(&self) -> usize {
        let talkers = self.shared.talkers.iter();
        talkers
            .map(|talker| talker.received.load(Ordering::Relaxed))
            .sum()
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        let talkers = self.shared.talkers.iter();
        talkers
            .map(|talker| talker.connections.load(Ordering::Relaxed))
            .sum()
    }

    /// Waits until this many further messages came back.
    pub fn wait_for_messages(&self, number: usize) {
        let end = self.received() + number;
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        while self.received() < end {
            let missing = end - self.received();
            assert!(
                Instant::now() < deadline,
                "{missing} of {number} messages do not come back"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the talking, waits until all that was sent came back and all have received a last message and the same list of
    /// users, and returns what was seen.
    pub fn finish(self) -> Vec<Recording> {
        self.shared.phase.store(SILENT, Ordering::Relaxed);
        self.wait("all messages came back", |progress| {
            progress.settled.load(Ordering::Relaxed)
        });
        self.shared.phase.store(ENDING, Ordering::Relaxed);
        self.wait("the last message arrives", |progress| {
            progress.done.load(Ordering::Relaxed)
        });
        self.shared.phase.store(OVER, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        threads
            .flat_map(|thread| thread.join().expect("talkers do not panic"))
            .collect()
    }

    fn wait(&self, expected: &str, condition: impl Fn(&Progress) -> bool) {
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        while !self.shared.talkers.iter().all(&condition) {
            let talkers = self.shared.talkers.iter();
            let waiting: Vec<_> = talkers.map(|talker| !condition(talker)).collect();
            assert!(
                Instant::now() < deadline,
                "timed out: {expected}; waiting: {waiting:?}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One talker at work.
struct Talk<'a> {
    talker: Talker,
    sender: usize,
    shared: &'a Shared,
    /// The number of its next message.
    next: usize,
    /// When the next message is due.
    due: Instant,
    since: Option<(u64, u64)>,
    recordings: Vec<Recording>,
}

impl Talk<'_> {
    fn new(talker: Talker, sender: usize, shared: &Shared) -> Talk<'_> {
        Talk {
            talker,
            sender,
            shared,
            next: 0,
            due: Instant::now(),
            since: None,
            recordings: Vec::new(),
        }
    }

    fn progress(&self) -> &Progress {
        &self.shared.talkers[self.sender]
    }

    fn phase(&self) -> u8 {
        self.shared.phase.load(Ordering::Relaxed)
    }

    fn run(mut self) -> Vec<Recording> {
        while self.phase() != OVER {
            match self.connect() {
                Ok(client) => self.converse(client),
                // The node is away, or does not take clients.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
            self.progress().settled.store(false, Ordering::Relaxed);
            self.progress().done.store(false, Ordering::Relaxed);
        }
        self.recordings
    }

    fn connect(&self) -> Result<Client, Error> {
        let node = self.talker.nodes[self.recordings.len() % self.talker.nodes.len()];
        let mut path = format!("{}?name={}", self.talker.path, self.talker.name);
        if let Some((epoch, id)) = self.since {
            path += &format!("&epoch={epoch}&since={id}");
        }
        let mut request = request(node, &path);
        let subprotocol = HeaderValue::from_static("threadchat.json");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", subprotocol);
        Client::try_connect(node, request)
    }

    /// Talks until the connection ends, and adds its recording.
    fn converse(&mut self, mut client: Client) {
        let recording = Recording {
            label: format!("{}, connection {}", self.talker.name, self.recordings.len()),
            sender: self.sender,
            sent: (self.next, self.next),
            since: self.since,
            seen: Vec::new(),
            end: End::Lost,
        };
        self.recordings.push(recording);
        self.progress().connections.fetch_add(1, Ordering::Relaxed);
        let first = self.next;
        let mut received = first;
        let mut leaving = false;
        let mut ending = Ending::default();
        // Later lists are complete only if this one is.
        let mut is_open = client
            .socket
            .send(Message::text(r#"{"type":"who"}"#))
            .is_ok();
        while is_open && self.phase() != OVER {
            if self
                .talker
                .stay
                .is_some_and(|stay| self.next - first >= stay && received == self.next)
                && !leaving
            {
                leaving = true;
                is_open = client.socket.close(None).is_ok();
            }
            if !leaving {
                is_open = self.send(&mut client, received) && ending.send(self, &mut client);
            }
            let timeout = self.due.saturating_duration_since(Instant::now());
            let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_millis(20));
            let socket = client.socket.get_ref();
            socket
                .set_read_timeout(Some(timeout))
                .expect("it is not zero");
            match client.next_message() {
                Ok(Message::Text(text)) => {
                    let event = parse(&text);
                    if let Some(number) =
                        self.own_number(&event).filter(|number| *number >= received)
                    {
                        received = number + 1;
                        self.progress().received.fetch_add(1, Ordering::Relaxed);
                    }
                    ending.see(&event);
                    self.record(event);
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    self.set_end(if leaving {
                        End::Left
                    } else {
                        End::Closed(code)
                    });
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => is_open = false,
            }
            let settled = received == self.next && self.phase() != TALKING && !leaving;
            self.progress().settled.store(settled, Ordering::Relaxed);
            self.progress()
                .done
                .store(ending.done && !leaving, Ordering::Relaxed);
        }
        if is_open && !leaving {
            self.set_end(End::Open);
        }
    }

    fn set_end(&mut self, end: End) {
        self.current().end = end;
    }

    fn current(&mut self) -> &mut Recording {
        self.recordings.last_mut().expect("converse has added it")
    }

    /// Sends the next message if it is due. Returns whether the connection is open.
    fn send(&mut self, client: &mut Client, received: usize) -> bool {
        let Some(pause) = self.talker.pause else {
            return true;
        };
        let in_window = self.next < received + WINDOW;
        if self.phase() != TALKING || !in_window || Instant::now() < self.due {
            return true;
        }
        self.due = Instant::now() + pause;
        if self.talker.renames && self.next.is_multiple_of(10) {
            let name = CONTESTED[self.next / 10 % CONTESTED.len()];
            let rename = format!(r#"{{"type":"rename","name":"{name}"}}"#);
            if client.socket.send(Message::text(rename)).is_err() {
                return false;
            }
        }
        let text = numbered(self.sender, self.next);
        self.next += 1;
        self.current().sent.1 += 1;
        let message = format!(r#"{{"type":"message","text":"{text}"}}"#);
        client.socket.send(Message::text(message)).is_ok()
    }

    fn own_number(&self, event: &ServerEvent<'_>) -> Option<usize> {
        let ServerEvent::Message { text, .. } = event else {
            return None;
        };
        let (sender, number) = text.split_once('.')?;
        let is_own = sender.parse() == Ok(self.sender);
        number.parse().ok().filter(|_| is_own)
    }

    fn record(&mut self, event: ServerEvent<'static>) {
        match &event {
            ServerEvent::Welcome { epoch, last, .. } => {
                let known = self.since.filter(|(known, _)| known == epoch);
                // What was missed follows.
                self.since = known.or(Some((*epoch, *last)));
            }
            ServerEvent::Message { id, .. } | ServerEvent::Action { id, .. } => {
                self.since = self.since.map(|(epoch, _)| (epoch, *id));
            }
            _ => {}
        }
        let at = self.shared.start.elapsed();
        self.current().seen.push((at, event));
    }
}

/// The end of the chat: the first talker sends a last message, and who has received it asks for the users.
#[derive(Default)]
struct Ending {
    sent: bool,
    seen: bool,
    asked: bool,
    done: bool,
}

impl Ending {
    fn send(&mut self, talk: &Talk<'_>, client: &mut Client) -> bool {
        if talk.sender == 0 && talk.phase() == ENDING && !self.sent && !self.seen {
            self.sent = true;
            let last = r#"{"type":"message","text":"the end"}"#;
            return client.socket.send(Message::text(last)).is_ok();
        }
        if self.seen && !self.asked {
            self.asked = true;
            return client
                .socket
                .send(Message::text(r#"{"type":"who"}"#))
                .is_ok();
        }
        true
    }

    fn see(&mut self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Message { text, .. } if text == "the end" => self.seen = true,
            ServerEvent::Who { .. } if self.asked => self.done = true,
            _ => {}
        }
    }
}
