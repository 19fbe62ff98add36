//! Clients that talk on several nodes and record what they see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::chat_checker::{Recording, assert_consistent};

#[path = "talk.rs"]
mod talk;

use talk::Talk;

/// The longest wait for a chat that goes on after a fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// The number of bytes that follow the number of a message.
    pub padding: usize,
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
            padding: 0,
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
    /// The number of users in the newest list.
    users: AtomicUsize,
    /// Whether it is connected and all it sent came back.
    settled: AtomicBool,
    /// Whether it has received the last message.
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

    /// Ends the talking, and waits until all that was sent came back.
    pub fn fall_silent(&self) {
        self.shared.phase.store(SILENT, Ordering::Relaxed);
        self.wait("all messages came back", |progress| {
            progress.settled.load(Ordering::Relaxed)
        });
    }

    /// Ends the talking, waits until all that was sent came back, the talkers are alone, and all have received a last message,
    /// and returns what was seen up to that.
    pub fn finish(self) -> Vec<Recording> {
        self.fall_silent();
        // Users of nodes that are gone leave after a while.
        let all = self.shared.talkers.len();
        self.wait("nobody else is there", |progress| {
            progress.users.load(Ordering::Relaxed) == all
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

/// Ends a crowd that has lost nothing and whose clients were never sent away.
pub fn assert_all_stayed(crowd: Crowd) {
    let talkers = crowd.threads.len();
    let recordings = crowd.finish();
    assert_consistent(&recordings);
    assert_eq!(recordings.len(), talkers, "a client was sent away");
}
