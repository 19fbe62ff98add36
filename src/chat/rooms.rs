//! The rooms that have users, and the inboxes of their dispatchers.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::dispatcher::{self, unix_millis};
use super::entrance::Entrance;
use super::event::Event;
#[cfg(feature = "cluster")]
use super::replicate::{ClusterError, Replicate};
use super::room::Room;
use super::tally::Tally;
use crate::config::{Config, HEALTH_CHECK_TIMEOUT};
use crate::metrics::ChatMetrics;
#[cfg(feature = "cluster")]
use crate::metrics::ClusterMetrics;
use crate::text::RoomName;

/// The registry of rooms. Handshakes enter a room by it; messages go to the room's inbox directly.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Registry>);

/// The registry of rooms for as long as somebody else has it.
#[derive(Clone)]
pub(crate) struct WeakRooms(Weak<Registry>);

struct Registry {
    config: Config,
    /// The way to `/chat`, which never ends.
    main: Entrance,
    #[cfg(feature = "cluster")]
    replicate: Option<Box<dyn Replicate>>,
    others: Mutex<Others>,
    tally: Arc<Tally>,
}

/// The rooms other than `/chat`.
struct Others {
    rooms: HashMap<RoomName, Entry>,
    last_epoch: u64,
    shutting_down: bool,
    /// What the logs of ended rooms have brought.
    #[cfg(feature = "cluster")]
    ended_cluster: ClusterMetrics,
    /// Every dispatcher of a room holds a clone for as long as it runs.
    running: Sender<()>,
}

struct Entry {
    entrance: Entrance,
    /// The number of [`Visit`]s.
    visits: usize,
}

/// The dispatchers' threads, for waiting until they have ended.
pub(crate) struct Dispatchers {
    main: JoinHandle<()>,
    /// Is disconnected when the dispatchers of all other rooms have ended.
    others: Receiver<()>,
}

/// The reason why a room cannot be entered.
#[derive(Debug)]
pub(crate) enum EnterError {
    /// As many other rooms as allowed, this many, have users.
    RoomLimit(usize),
    /// The system has no thread for the room's dispatcher.
    Spawn(io::Error),
    /// The room has no place in the log that several nodes share.
    Away,
}

/// The presence of a connection in a room. While there is one, the room does not end.
pub(crate) struct Visit {
    pub(crate) inbox: Sender<Event>,
    /// `None` for `/chat`.
    room: Option<(RoomName, Rooms)>,
}

impl Rooms {
    /// Starts the dispatcher of `/chat`, which drops `at_end` when it ends, even by a panic.
    ///
    /// # Errors
    ///
    /// The system has no thread.
    pub(crate) fn start(
        config: Config,
        at_end: impl Send + 'static,
    ) -> io::Result<(Rooms, Dispatchers)> {
        let (running, others) = bounded(0);
        let epoch = unix_millis();
        let capacity = config.inbox_capacity();
        let (inbox, main) = start_dispatcher(&config, None, epoch, capacity, |_| drop(at_end))?;
        let registry = Registry {
            config,
            main: Entrance::new(inbox),
            #[cfg(feature = "cluster")]
            replicate: None,
            others: Mutex::new(Others {
                rooms: HashMap::new(),
                last_epoch: epoch,
                shutting_down: false,
                #[cfg(feature = "cluster")]
                ended_cluster: ClusterMetrics::default(),
                running,
            }),
            tally: Arc::default(),
        };
        Ok((Rooms(Arc::new(registry)), Dispatchers { main, others }))
    }

    /// Makes `/chat` part of a log, and each other room when it is opened. Called before the first client comes.
    ///
    /// # Errors
    ///
    /// The log cannot be used, or the system has no threads.
    #[cfg(feature = "cluster")]
    pub(crate) fn replicated(self, replicate: Box<dyn Replicate>) -> Result<Rooms, ClusterError> {
        // Nobody else has the registry yet.
        let mut registry = Arc::into_inner(self.0).expect("the registry is not shared");
        let capacity = registry.config.inbox_capacity();
        let main = registry.main;
        registry.main = main.replicated(None, Some(&*replicate), capacity)?;
        registry.replicate = Some(replicate);
        Ok(Rooms(Arc::new(registry)))
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        // No panic leaves the rooms incomplete.
        (self.0.others.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the way for an echo client, which `/chat`'s dispatcher opens and closes.
    pub(crate) fn enter_echo(&self) -> Visit {
        Visit {
            inbox: self.0.main.dispatcher.clone(),
            room: None,
        }
    }

    /// Enters a room, or `/chat` without a name. The first to enter a room starts its dispatcher. Called by the thread of a
    /// handshake; waits for the registry's lock only.
    ///
    /// # Errors
    ///
    /// Too many rooms have users, the system has no thread, or the room has no place in its log.
    pub(crate) fn enter(&self, room: Option<&RoomName>) -> Result<Visit, EnterError> {
        let main = &self.0.main;
        if !main.is_open() {
            return Err(EnterError::Away);
        }
        let Some(name) = room else {
            return Ok(Visit {
                inbox: main.chat.clone(),
                room: None,
            });
        };
        let mut others = self.others();
        if !others.rooms.contains_key(name) {
            let entry = self.open(name, &mut others)?;
            others.rooms.insert(name.clone(), entry);
        }
        let entry = others.rooms.get_mut(name);
        // The entry was found or inserted above, under the same lock.
        let entry = entry.expect("the room is open");
        if !entry.entrance.is_open() {
            return Err(EnterError::Away);
        }
        entry.visits += 1;
        Ok(Visit {
            inbox: entry.entrance.chat.clone(),
            room: Some((name.clone(), self.clone())),
        })
    }

    fn open(&self, name: &RoomName, others: &mut Others) -> Result<Entry, EnterError> {
        let config = &self.0.config;
        if others.rooms.len() >= config.max_rooms {
            return Err(EnterError::RoomLimit(config.max_rooms));
        }
        // An epoch is used once, also if the clock is set back or a room begins and ends within a millisecond.
        let epoch = unix_millis().max(others.last_epoch + 1);
        let capacity = config.room_inbox_capacity();
        let running = others.running.clone();
        let mut share = self.0.tally.share();
        let at_end = move |counted: Option<ChatMetrics>| {
            share.counted = counted;
            drop(share);
            drop(running);
        };
        let (inbox, _) = start_dispatcher(config, Some(name), epoch, capacity, at_end)
            .map_err(EnterError::Spawn)?;
        others.last_epoch = epoch;
        if others.shutting_down {
            // The inbox is empty, so this does not wait.
            let _ = inbox.send(Event::Shutdown);
        }
        let entrance = Entrance::new(inbox);
        #[cfg(feature = "cluster")]
        let entrance = (entrance.replicated(Some(name), self.0.replicate.as_deref(), capacity))
            .map_err(|error| EnterError::Spawn(io::Error::other(error)))?;
        if others.shutting_down {
            entrance.begin_shutdown();
        }
        Ok(Entry {
            entrance,
            visits: 0,
        })
    }

    /// Leaves a room. After the last visit the room is forgotten, and its dispatcher ends when it has processed its inbox. A
    /// client that comes meanwhile opens the room anew.
    fn leave(&self, name: &RoomName) {
        let mut others = self.others();
        if let Some(entry) = others.rooms.get_mut(name) {
            entry.visits -= 1;
            if entry.visits == 0 {
                #[cfg(feature = "cluster")]
                if let Some(metrics) = entry.entrance.cluster_metrics() {
                    others.ended_cluster.add(&metrics.ended());
                }
                others.rooms.remove(name);
            }
        }
    }

    /// Returns a handle that keeps no dispatcher running.
    pub(crate) fn downgrade(&self) -> WeakRooms {
        WeakRooms(Arc::downgrade(&self.0))
    }

    /// Returns the ways to all rooms.
    fn entrances<'a>(&'a self, others: &'a Others) -> impl Iterator<Item = &'a Entrance> {
        let entrances = others.rooms.values().map(|entry| &entry.entrance);
        entrances.chain([&self.0.main])
    }

    /// Returns the inboxes of all rooms.
    fn inboxes(&self, others: &Others) -> Vec<Sender<Event>> {
        let entrances = self.entrances(others);
        entrances
            .map(|entrance| entrance.dispatcher.clone())
            .collect()
    }

    /// Closes all current and later connections. Waits for room in each inbox.
    pub(crate) fn shut_down(&self) {
        let inboxes = {
            let mut others = self.others();
            others.shutting_down = true;
            let entrances = self.entrances(&others);
            entrances.for_each(Entrance::begin_shutdown);
            self.inboxes(&others)
        };
        for inbox in inboxes {
            // Sending fails only after a panic of the dispatcher, which has closed all its connections.
            let _ = inbox.send(Event::Shutdown);
        }
    }

    /// Returns whether all rooms take clients, and their dispatchers respond. Waits as [`ask`] does.
    pub(crate) fn are_healthy(&self) -> bool {
        let are_open = self.entrances(&self.others()).all(Entrance::is_open);
        are_open && self.respond()
    }

    /// Returns whether the dispatchers of all rooms process their inboxes. Waits as [`ask`] does.
    pub(crate) fn respond(&self) -> bool {
        let inboxes = self.inboxes(&self.others());
        ask(&inboxes).is_some()
    }

    /// Returns what the logs of all rooms, and of those that have ended, have brought, if rooms have logs.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster_metrics(&self) -> Option<ClusterMetrics> {
        let mut sum = self.0.main.cluster_metrics()?;
        let others = self.others();
        sum.add(&others.ended_cluster);
        for entry in others.rooms.values() {
            let metrics = entry.entrance.cluster_metrics();
            metrics.iter().for_each(|metrics| sum.add(metrics));
        }
        Some(sum)
    }

    /// Returns the number of rooms, and what their dispatchers and those of ended rooms have counted. Waits up to
    /// [`HEALTH_CHECK_TIMEOUT`] for rooms that are about to end, then as [`ask`] does. Returns `None` if a dispatcher does not
    /// reply.
    pub(crate) fn metrics(&self) -> Option<(usize, ChatMetrics)> {
        let (inboxes, mut sum) = self.inboxes_and_sum();
        let reports = ask(&inboxes)?;
        reports.iter().flatten().for_each(|report| sum.add(report));
        Some((reports.len(), sum))
    }

    /// Returns the inboxes of all rooms, and the sum of ended rooms. Each room is in one of both: a dispatcher does not end
    /// while its inbox is held, and one that was left already is waited for.
    fn inboxes_and_sum(&self) -> (Vec<Sender<Event>>, ChatMetrics) {
        let deadline = Instant::now() + HEALTH_CHECK_TIMEOUT;
        loop {
            let others = self.others();
            let state = self.0.tally.state();
            let remaining = deadline.saturating_duration_since(Instant::now());
            if state.running <= others.rooms.len() || remaining.is_zero() {
                return (self.inboxes(&others), state.sum.clone());
            }
            drop(others);
            self.0.tally.wait(state, remaining);
        }
    }
}

/// Asks dispatchers and returns the replies. Waits up to [`HEALTH_CHECK_TIMEOUT`] for room in the inboxes, and again for the
/// replies. Returns `None` if one is missing.
fn ask(inboxes: &[Sender<Event>]) -> Option<Vec<Option<ChatMetrics>>> {
    let (reply, replies) = bounded(inboxes.len());
    let deadline = Instant::now() + HEALTH_CHECK_TIMEOUT;
    for inbox in inboxes {
        inbox
            .send_deadline(Event::Report(reply.clone()), deadline)
            .ok()?;
    }
    let deadline = Instant::now() + HEALTH_CHECK_TIMEOUT;
    let reply = |_| replies.recv_deadline(deadline).ok();
    inboxes.iter().map(reply).collect()
}

impl WeakRooms {
    /// Returns the registry, unless the server has ended.
    pub(crate) fn upgrade(&self) -> Option<Rooms> {
        self.0.upgrade().map(Rooms)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some((name, rooms)) = &self.room {
            rooms.leave(name);
        }
    }
}

impl Dispatchers {
    /// Waits until all dispatchers have ended. Each ends when its last connection has ended and the registry is dropped.
    ///
    /// # Errors
    ///
    /// The dispatcher of `/chat` panicked.
    pub(crate) fn join(self) -> thread::Result<()> {
        let _disconnected = self.others.recv();
        self.main.join()
    }
}

/// Starts the dispatcher of a room. Calls `at_end` with what it has counted when it ends, and drops it even after a panic.
fn start_dispatcher(
    config: &Config,
    name: Option<&RoomName>,
    epoch: u64,
    capacity: usize,
    at_end: impl FnOnce(Option<ChatMetrics>) + Send + 'static,
) -> io::Result<(Sender<Event>, JoinHandle<()>)> {
    let (sender, inbox) = bounded(capacity);
    let room = Room::new(name, epoch, config);
    let config = config.clone();
    let thread = thread::Builder::new()
        .name("dispatcher".into())
        .spawn(move || at_end(dispatcher::run(&inbox, room, &config)))?;
    Ok((sender, thread))
}

#[cfg(test)]
mod tests;
