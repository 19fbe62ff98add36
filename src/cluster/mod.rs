//! One chat on several nodes.
//!
//! [`Room`](crate::chat::room::Room) is plain logic: the same commands in the same order give the same names, members and
//! deliveries. So a node does not apply what its clients do. It appends that to the room's log, which a Redis or Valkey server
//! orders, and every node applies what comes back, the sender's included, and delivers it to its own clients.
//!
//! ```text
//!  connections ──► queue ──► appender ──► log ──► reader ──► inbox ──► dispatcher ──► outbound
//!                                ╰────────── events of this node ──╯
//! ```
//!
//! A room has two threads more on each node:
//!
//! | thread | waits for | ends when |
//! | --- | --- | --- |
//! | append | events of connections, or 1 s for the heartbeat; the server: 2 s for a connection, and 2 s for each reply; room for a batch on its way, or in the inbox | every sender of the queue is dropped, and the last batches have come back, or 2 s have passed, or the server was away for 10 s (2 s at shutdown) |
//! | read | the next entry: 0.5 s; the server: the same; room in the inbox; pauses after a loss | the append thread ends |
//!
//! - The dispatcher waits for neither. If the server is away, batches wait in the append thread, events in its queue, and then
//!   clients in their connections' threads.
//! - The lock of their [`Standing`] is taken for a batch or an entry, and never held while waiting.
//! - Exactly once: an append whose reply is lost is repeated, and every node ignores a batch whose sequence it has seen.

mod appender;
mod codec;
mod digests;
mod entry;
mod lost;
mod members;
mod position;
mod reader;
mod redis_log;
mod standing;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Sender, bounded};

use self::appender::{Appender, IN_FLIGHT, REFUSALS};
use self::lost::Lost;
use self::reader::Reader;
use self::redis_log::RedisLog;
use self::standing::{Phase, Standing};
use crate::chat::event::Event;
use crate::chat::replicate::{ClusterError, Membership, Replicate, Replicated};
use crate::config::{ClusterAddress, Config};
use crate::metrics::ClusterMetrics;
use crate::text::RoomName;

/// This node of a chat on several nodes.
pub(crate) struct Cluster {
    address: ClusterAddress,
    config: Config,
    /// The last standing of each room. A room that opens again waits for the end of its life before, whose last batches would
    /// otherwise come too late.
    rooms: Mutex<HashMap<Option<RoomName>, Arc<Standing>>>,
}

impl Cluster {
    pub(crate) fn new(address: ClusterAddress, config: &Config) -> Cluster {
        Cluster {
            address,
            config: config.clone(),
            rooms: Mutex::default(),
        }
    }

    fn cannot_start(&self, lost: &Lost) -> ClusterError {
        let address = &self.address;
        ClusterError(match lost {
            Lost::Log(error) => format!("--cluster: {address} {error}"),
            other => format!("--cluster: {address}: {other}"),
        })
    }

    /// Returns the standing of the room's life before.
    fn replace_standing(
        &self,
        room: Option<&RoomName>,
        standing: Arc<Standing>,
    ) -> Option<Arc<Standing>> {
        // Nothing panics while the lock is held.
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rooms.insert(room.cloned(), standing);
        // Those of rooms that have ended are not needed any more.
        rooms.retain(|_, standing| standing.phase() != Phase::Ended);
        before
    }
}

impl Replicate for Cluster {
    fn replicate(
        &self,
        room: Option<&RoomName>,
        dispatcher: Sender<Event>,
        capacity: usize,
    ) -> Result<Replicated, ClusterError> {
        let standing = Arc::new(Standing::new());
        let (queue, events) = bounded(capacity);
        let in_flight = bounded(IN_FLIGHT);
        let log = RedisLog::new(&self.address, room);
        let (refuse, refusals) = bounded(REFUSALS);
        let mut reader = Reader::new(
            log.another(),
            dispatcher.clone(),
            in_flight.1.clone(),
            refuse,
            Arc::clone(&standing),
            room,
            &self.config,
        );
        let appender = Appender {
            log,
            queue: events,
            dispatcher,
            in_flight,
            refusals,
            standing: Arc::clone(&standing),
            log_prefix: reader.log_prefix.clone(),
            clients: HashMap::new(),
            held: None,
        };
        let first = match room {
            None => match reader.begin() {
                Ok(position) => Some(position),
                // The other nodes store a snapshot, or the log is begun anew: the thread tries again.
                Err(Lost::NoSnapshot(_)) => None,
                Err(lost) => return Err(self.cannot_start(&lost)),
            },
            Some(_) => None,
        };
        let before = self.replace_standing(room, Arc::clone(&standing));
        let read = move || {
            if let Some(before) = before {
                before.wait_ended();
            }
            reader.run(first);
        };
        spawn("read", read)?;
        spawn("append", move || appender.run())?;
        Ok(Replicated {
            chat: queue,
            membership: standing,
        })
    }
}

impl Membership for Standing {
    fn is_open(&self) -> bool {
        matches!(self.phase(), Phase::Starting | Phase::Joined { .. })
    }

    fn shut_down(&self) {
        self.begin_shutdown();
    }

    fn metrics(&self) -> ClusterMetrics {
        self.counted()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), ClusterError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    let failed = |error: io::Error| ClusterError(format!("cannot start a thread: {error}"));
    spawned.map(drop).map_err(failed)
}
