//! The work of one talker.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use threadchat::protocol::ServerEvent;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message};

use super::super::chat_checker::{End, Recording, numbered, parse_number};
use super::super::cluster::parse;
use super::super::support::Client;
use super::super::support::client::request;
use super::{ENDING, OVER, Progress, SILENT, Shared, TALKING, Talker};

/// The messages of a talker that are on their way at once.
const WINDOW: usize = 16;

/// Names that several talkers want.
const CONTESTED: [&str; 4] = ["ann", "bob", "cleo", "dan"];

/// Requests the users.
const WHO: &str = r#"{"type":"who"}"#;

/// The text of the last message.
const THE_END: &str = "the end";

/// The time between two requests for the users, after the talking.
const WHO_PAUSE: Duration = Duration::from_millis(200);

/// One talker at work.
pub struct Talk<'a> {
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

/// The state of one connection.
struct Conversation {
    client: Client,
    /// The number of the first message of the connection.
    first: usize,
    /// The number after the last message that came back.
    received: usize,
    /// Whether the talker has sent a Close.
    leaving: bool,
    next_who: Instant,
    end_is_sent: bool,
    is_done: bool,
}

impl Conversation {
    /// Sends an object. Returns whether the connection is open.
    fn send(&mut self, object: &str) -> bool {
        self.client.socket.send(Message::text(object)).is_ok()
    }

    fn say(&mut self, text: &str) -> bool {
        self.send(&format!(r#"{{"type":"message","text":"{text}"}}"#))
    }
}

impl Talk<'_> {
    pub fn new(talker: Talker, sender: usize, shared: &Shared) -> Talk<'_> {
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

    /// Talks until the end. Returns what the connections have seen.
    pub fn run(mut self) -> Vec<Recording> {
        while self.phase() != OVER {
            match self.connect() {
                Ok(client) => self.converse(client),
                // The node is away, or does not take clients.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
            self.report(false, false);
        }
        self.recordings
    }

    fn report(&self, settled: bool, done: bool) {
        self.progress().settled.store(settled, Ordering::Relaxed);
        self.progress().done.store(done, Ordering::Relaxed);
    }

    fn connect(&self) -> Result<Client, Error> {
        let node = self.talker.nodes[self.recordings.len() % self.talker.nodes.len()];
        let mut path = format!("{}?name={}", self.talker.path, self.talker.name);
        if let Some((epoch, id)) = self.since {
            path += &format!("&epoch={epoch}&since={id}");
        }
        let mut request = request(node, &path);
        let subprotocol = HeaderValue::from_static("threadchat.json");
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", subprotocol);
        Client::try_connect(node, request)
    }

    /// Talks until the connection ends, and adds its recording.
    fn converse(&mut self, client: Client) {
        self.recordings.push(Recording {
            label: format!("{}, connection {}", self.talker.name, self.recordings.len()),
            sender: self.sender,
            sent: (self.next, self.next),
            since: self.since,
            seen: Vec::new(),
            end: End::Lost,
        });
        self.progress().connections.fetch_add(1, Ordering::Relaxed);
        let mut conversation = Conversation {
            client,
            first: self.next,
            received: self.next,
            leaving: false,
            next_who: Instant::now(),
            end_is_sent: false,
            is_done: false,
        };
        // The users are followed from the first list.
        let mut is_open = conversation.send(WHO);
        while is_open && self.phase() != OVER {
            is_open = self.act(&mut conversation) && self.read(&mut conversation);
            let stays = !conversation.leaving;
            let settled = stays && conversation.received == self.next && self.phase() != TALKING;
            self.report(settled, stays && conversation.is_done);
        }
        if is_open && !conversation.leaving {
            self.current().end = End::Open;
        }
    }

    fn current(&mut self) -> &mut Recording {
        self.recordings.last_mut().expect("converse has added it")
    }

    /// Does what is due. Returns whether the connection is open.
    fn act(&mut self, conversation: &mut Conversation) -> bool {
        let sent = self.next - conversation.first;
        let waiting = self.next - conversation.received;
        let has_stayed = self.talker.stay.is_some_and(|stay| sent >= stay) && waiting == 0;
        match self.phase() {
            _ if conversation.leaving => true,
            _ if has_stayed => {
                conversation.leaving = true;
                conversation.client.socket.close(None).is_ok()
            }
            TALKING if waiting < WINDOW && Instant::now() >= self.due => {
                self.send_next(conversation)
            }
            SILENT if Instant::now() >= conversation.next_who => {
                conversation.next_who = Instant::now() + WHO_PAUSE;
                conversation.send(WHO)
            }
            ENDING if self.sender == 0 && !conversation.end_is_sent => {
                conversation.end_is_sent = true;
                conversation.is_done || conversation.say(THE_END)
            }
            _ => true,
        }
    }

    /// Sends the next message. Returns whether the connection is open.
    fn send_next(&mut self, conversation: &mut Conversation) -> bool {
        let Some(pause) = self.talker.pause else {
            return true;
        };
        self.due = Instant::now() + pause;
        if self.talker.renames && self.next.is_multiple_of(10) {
            let name = CONTESTED[self.next / 10 % CONTESTED.len()];
            let rename = format!(r#"{{"type":"rename","name":"{name}"}}"#);
            if !conversation.send(&rename) {
                return false;
            }
        }
        let padding = "x".repeat(self.talker.padding);
        let text = format!("{} {padding}", numbered(self.sender, self.next));
        self.next += 1;
        self.current().sent.1 += 1;
        conversation.say(text.trim_end())
    }

    /// Reads the next message. Returns whether the connection is open.
    fn read(&mut self, conversation: &mut Conversation) -> bool {
        let timeout = self.due.saturating_duration_since(Instant::now());
        let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_millis(20));
        let socket = conversation.client.socket.get_ref();
        let set = socket.set_read_timeout(Some(timeout));
        set.expect("it is not zero");
        match conversation.client.next_message() {
            Ok(Message::Text(text)) => self.see(conversation, parse(&text)),
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                self.current().end = match conversation.leaving {
                    true => End::Left,
                    false => End::Closed(code),
                };
            }
            Ok(_) => {}
            Err(Error::Io(error)) => return error.kind() == ErrorKind::WouldBlock,
            Err(_) => return false,
        }
        true
    }

    fn see(&mut self, conversation: &mut Conversation, event: ServerEvent<'static>) {
        // Afterwards, one talker leaves before the other.
        if conversation.is_done {
            return;
        }
        match &event {
            ServerEvent::Welcome { epoch, last, .. } => {
                // What was missed follows.
                let known = self.since.filter(|(known, _)| known == epoch);
                self.since = known.or(Some((*epoch, *last)));
            }
            ServerEvent::Message { id, text, .. } => {
                self.since = self.since.map(|(epoch, _)| (epoch, *id));
                conversation.is_done = text == THE_END;
                let own = parse_number(text).filter(|(sender, _)| *sender == self.sender);
                let own = own.filter(|(_, number)| *number >= conversation.received);
                if let Some((_, number)) = own {
                    conversation.received = number + 1;
                    self.progress().received.fetch_add(1, Ordering::Relaxed);
                }
            }
            ServerEvent::Who { users, .. } => {
                self.progress().users.store(*users, Ordering::Relaxed);
            }
            _ => {}
        }
        let at = self.shared.start.elapsed();
        self.current().seen.push((at, event));
    }
}
