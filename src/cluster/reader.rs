//! The thread that reads a room's log and passes every entry to the dispatcher.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::appender::{IN_FLIGHT, InFlight};
use super::codec::{self, DecodeError};
use super::digests::Digests;
use super::entry::{Batch, Entry, Incarnation, Statement, first_id, last_id};
use super::lost::{AWAY_SECONDS, Lost};
use super::members::{Effect, EntryId, Members, SnapshotDue, Verdict};
use super::redis_log::{LogError, RedisLog};
use super::standing::{Phase, Standing};
use crate::chat::digest::Digest;
use crate::chat::event::Event;
use crate::chat::replication::{Replication, Step};
use crate::chat::room::Room;
use crate::config::Config;
use crate::text::RoomName;

/// The pauses between attempts to reach the server, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The pauses before a room that has lost its place comes back, the first and the longest. A room that has kept its place for
/// the longest pause begins with the first one again.
const RETURN_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// The digests that the dispatcher can owe. It replies before the next entry or two.
const DIGESTS: usize = 16;

/// The time for which the server may be away.
const AWAY: Duration = Duration::from_secs(AWAY_SECONDS);

pub(super) struct Reader {
    log: RedisLog,
    dispatcher: Sender<Event>,
    in_flight: Receiver<InFlight>,
    standing: Arc<Standing>,
    room: Option<RoomName>,
    config: Config,
    log_prefix: String,
    /// The last reply of the server.
    heard: Instant,
}

/// What the reader knows of the log in one incarnation.
pub(super) struct Position {
    members: Members,
    /// The last applied entry.
    last: EntryId,
    /// The token of this incarnation's first entry.
    token: u64,
    /// The number of this incarnation, when its first entry has come back.
    incarnation: Option<Incarnation>,
    has_ended: bool,
    digests: Digests,
    /// The points at which the members' digests are known, and the room's are not.
    owed: VecDeque<Statement>,
    room_digests: (Sender<(u64, u64)>, Receiver<(u64, u64)>),
    snapshot: Option<PendingSnapshot>,
}

/// A snapshot whose room the dispatcher has been asked for.
struct PendingSnapshot {
    at: EntryId,
    trim_before: EntryId,
    members: Vec<u8>,
    room: Receiver<Vec<u8>>,
}

impl Reader {
    pub(super) fn new(
        log: RedisLog,
        (dispatcher, in_flight): (Sender<Event>, Receiver<InFlight>),
        standing: Arc<Standing>,
        room: Option<&RoomName>,
        config: &Config,
    ) -> Reader {
        Reader {
            log,
            dispatcher,
            in_flight,
            standing,
            log_prefix: room.map_or(String::new(), |name| format!("room {}: ", name.as_str())),
            room: room.cloned(),
            config: config.clone(),
            heard: Instant::now(),
        }
    }

    /// Follows the log from this position, or from its snapshot, until the room ends; comes back after each loss. The work of
    /// the thread.
    pub(super) fn run(mut self, mut first: Option<Position>) {
        let (min_pause, max_pause) = RETURN_PAUSES;
        let mut pause = min_pause;
        loop {
            let began = Instant::now();
            self.heard = began;
            let lost = match self.follow(first.take()) {
                Ok(()) => return,
                Err(lost) => lost,
            };
            if lost == Lost::Dispatcher || self.send(Replication::Lost).is_err() {
                return;
            }
            self.standing.leave();
            let address = self.log.address();
            log::error!(
                "{}{address}: {lost}; clients are told to connect again",
                self.log_prefix
            );
            if began.elapsed() > max_pause {
                pause = min_pause;
            }
            self.standing.wait_while(Phase::Away, pause);
            pause = (2 * pause).min(max_pause);
        }
    }

    /// Follows the log for one incarnation. Returns when the room has ended.
    fn follow(&mut self, position: Option<Position>) -> Result<(), Lost> {
        let mut position = match position {
            Some(position) => position,
            None => self.retry(|reader| reader.begin())?,
        };
        while self.standing.phase() != Phase::Ended && !position.has_ended {
            if let Some(lost) = self.standing.take_lost() {
                return Err(lost);
            }
            let last = position.last;
            let entries = self.retry(|reader| reader.log.read(last).map_err(Lost::Log))?;
            for (id, bytes) in entries {
                self.apply(&mut position, id, &bytes)?;
            }
            self.take_digests(&mut position)?;
            self.store_snapshot(&mut position)?;
        }
        Ok(())
    }

    /// Tries an operation until it succeeds, or the server has been away for too long.
    fn retry<T>(
        &mut self,
        mut operation: impl FnMut(&mut Reader) -> Result<T, Lost>,
    ) -> Result<T, Lost> {
        let (mut pause, max_pause) = PAUSES;
        loop {
            let error = match operation(self) {
                Ok(done) => {
                    self.heard = Instant::now();
                    return Ok(done);
                }
                Err(Lost::Log(error)) if !error.is_final() => error,
                Err(lost) => return Err(lost),
            };
            let phase = self.standing.phase();
            // A room that has been away says so again only if the reason is another one.
            if self.heard.elapsed() >= AWAY || phase == Phase::Ended {
                return Err(Lost::Away(error));
            }
            log::debug!("{}{} {error}", self.log_prefix, self.log.address());
            self.standing.wait_while(phase, pause);
            pause = (2 * pause).min(max_pause);
        }
    }

    /// Restores the room from the log, which it begins if there is none, and asks for an incarnation.
    ///
    /// # Errors
    ///
    /// The server is not available, or what it has cannot be used.
    pub(super) fn begin(&mut self) -> Result<Position, Lost> {
        let (members, room, last) = self.load()?;
        let token = new_token();
        let hello = Entry::Hello {
            log: members.log(),
            token,
            node: self.log.address().node.clone(),
        };
        self.log.append(&codec::encode(&hello)).map_err(Lost::Log)?;
        self.send(Replication::Restore(Box::new(room)))?;
        Ok(Position {
            members,
            last,
            token,
            incarnation: None,
            has_ended: false,
            digests: Digests::default(),
            owed: VecDeque::new(),
            room_digests: bounded(DIGESTS),
            snapshot: None,
        })
    }

    /// Returns the members and the room at an entry of the log: of its newest snapshot, or of its first entry.
    fn load(&mut self) -> Result<(Members, Room, EntryId), Lost> {
        if let Some((at, bytes)) = self.log.snapshot().map_err(Lost::Log)? {
            if self.log.contains(at).map_err(Lost::Log)? {
                return self.decode_snapshot(at, &bytes).ok_or(Lost::Snapshot(at));
            }
            // Somebody has removed the log, or its server has lost the end of it.
            log::warn!(
                "{}{}: the snapshot at {at} belongs to entries that are gone; beginning without it",
                self.log_prefix,
                self.log.address()
            );
            self.log.remove_snapshot().map_err(Lost::Log)?;
        }
        let first = match self.log.first().map_err(Lost::Log)? {
            Some(first) => first,
            None => {
                let genesis = codec::encode(&Entry::Genesis);
                self.log.create(&genesis).map_err(Lost::Log)?;
                let first = self.log.first().map_err(Lost::Log)?;
                first.ok_or(Lost::Log(LogError::Missing))?
            }
        };
        let (genesis, bytes) = first;
        match codec::decode(&bytes) {
            Ok(Entry::Genesis) => {}
            Ok(_) => return Err(Lost::Entry(genesis, DecodeError::Malformed)),
            Err(error) => return Err(Lost::Entry(genesis, error)),
        }
        let room = Room::new(self.room.as_ref(), genesis.millis, &self.config);
        Ok((Members::new(genesis), room, genesis))
    }

    fn decode_snapshot(&self, at: EntryId, bytes: &[u8]) -> Option<(Members, Room, EntryId)> {
        // The members are one line.
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (members, room) = (&bytes[..end], &bytes[end + 1..]);
        let members = serde_json::from_slice(members).ok()?;
        let room = Room::from_snapshot(room, &self.config).ok()?;
        Some((members, room, at))
    }

    fn send(&self, replication: Replication) -> Result<(), Lost> {
        let sent = self.dispatcher.send(Event::Replication(replication));
        sent.map_err(|_| Lost::Dispatcher)
    }

    /// Applies an entry to the members, and passes what it does to the room on.
    fn apply(&self, position: &mut Position, id: EntryId, bytes: &[u8]) -> Result<(), Lost> {
        let entry = codec::decode(bytes).map_err(|error| Lost::Entry(id, error))?;
        let effect = position.members.apply(id, bytes, &entry);
        let effect = effect.map_err(|_| Lost::OtherLog)?;
        position.last = id;
        self.standing
            .count(|metrics| metrics.count_read(bytes.len(), lag(id)));
        let mut steps = Vec::new();
        for (incarnation, reason) in &effect.gone {
            if position.incarnation == Some(*incarnation) {
                return Err(Lost::Removed(reason.clone()));
            }
            log::warn!("{}{reason}", self.log_prefix);
            steps.push(Step::LeaveAll(
                first_id(*incarnation)..=last_id(*incarnation),
            ));
        }
        let mut applied = None;
        match entry {
            Entry::Hello { token, node, .. } => {
                self.admit(position, &effect.verdict, token, &node);
            }
            Entry::Batch(batch) => {
                if let Some(statement) = batch.header.statement {
                    let compared = position.digests.compare(statement);
                    compared.map_err(|_| Lost::Diverged)?;
                }
                let is_own = position.incarnation == Some(batch.header.incarnation);
                match effect.verdict {
                    Verdict::Applies if is_own => {
                        steps.extend(self.own_steps(&batch));
                        applied = Some(batch.header.sequence + 1);
                    }
                    Verdict::Applies => {
                        let incarnation = batch.header.incarnation;
                        let changes = batch.changes.into_iter();
                        steps.extend(changes.map(|change| change.into_step(incarnation)));
                    }
                    Verdict::Gap if is_own => return Err(Lost::Gap),
                    _ => {}
                }
            }
            Entry::Bye { incarnation, .. } => {
                position.has_ended = position.incarnation == Some(incarnation);
            }
            Entry::Genesis => {}
        }
        if !steps.is_empty() {
            let time = id.millis;
            self.send(Replication::Steps { time, steps })?;
        }
        if let Some(applied) = applied {
            self.standing.set_applied(applied);
        }
        self.ask_dispatcher(position, id, effect)
    }

    /// Takes note of a node that begins an incarnation.
    fn admit(&self, position: &mut Position, verdict: &Verdict, token: u64, node: &str) {
        let Verdict::Admitted(incarnation) = *verdict else {
            return;
        };
        if token == position.token {
            position.incarnation = Some(incarnation);
            self.standing.join(position.members.log(), incarnation);
            log::info!(
                "{}{}: this node is {node}, incarnation {incarnation}",
                self.log_prefix,
                self.log.address()
            );
        } else if position.incarnation.is_some() {
            log::info!("{}node {node} is here", self.log_prefix);
        }
    }

    /// Returns the events of an own batch that has come back.
    fn own_steps(&self, batch: &Batch) -> Vec<Step> {
        let (incarnation, sequence) = (batch.header.incarnation, batch.header.sequence);
        // The appender puts a batch there before it appends it. Batches of earlier incarnations may be left.
        for in_flight in self.in_flight.try_iter().take(IN_FLIGHT) {
            if (in_flight.incarnation, in_flight.sequence) == (incarnation, sequence) {
                let round_trip = in_flight.began.elapsed();
                (self.standing).count(|metrics| metrics.count_round_trip(round_trip));
                return in_flight.events.into_iter().map(Step::Own).collect();
            }
            for event in in_flight.events {
                if !matches!(event, Event::Command(..)) {
                    // After a panic of the dispatcher there is nobody to tell.
                    let _ = self.dispatcher.send(event);
                }
            }
        }
        Vec::new()
    }

    /// Asks the dispatcher for what the other nodes are to know about the room at this entry.
    fn ask_dispatcher(
        &self,
        position: &mut Position,
        id: EntryId,
        effect: Effect,
    ) -> Result<(), Lost> {
        if let Some(point) = effect.point {
            let digest = position.members.digest();
            position.owed.push_back(Statement { point, digest });
            let reply = position.room_digests.0.clone();
            self.send(Replication::Digest(point, reply))?;
        }
        if let Some(SnapshotDue {
            incarnation,
            trim_before,
        }) = effect.snapshot
            && incarnation.is_some()
            && incarnation == position.incarnation
        {
            let (reply, room) = bounded(1);
            // Encoding fails only for what has no form in JSON, and the members are numbers and texts.
            let members = serde_json::to_vec(&position.members).expect("members have a form");
            position.snapshot = Some(PendingSnapshot {
                at: id,
                trim_before,
                members,
                room,
            });
            self.send(Replication::Snapshot(reply))?;
        }
        Ok(())
    }

    /// Takes the digests of the room that the dispatcher has sent.
    fn take_digests(&self, position: &mut Position) -> Result<(), Lost> {
        for (point, room) in position.room_digests.1.try_iter() {
            // The dispatcher drops a reply if it owes too many, and keeps their order.
            while let Some(owed) = position.owed.pop_front() {
                if owed.point == point {
                    let mut digest = Digest::from_value(owed.digest);
                    digest.add(&room.to_le_bytes());
                    let digest = digest.value();
                    let statement = Statement { point, digest };
                    let added = position.digests.add(statement);
                    added.map_err(|_| Lost::Diverged)?;
                    self.standing.set_statement(statement);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Stores the snapshot when the dispatcher has sent the room.
    fn store_snapshot(&mut self, position: &mut Position) -> Result<(), Lost> {
        let Some(pending) = &position.snapshot else {
            return Ok(());
        };
        let Ok(room) = pending.room.try_recv() else {
            return Ok(());
        };
        let (at, trim_before) = (pending.at, pending.trim_before);
        let bytes = [&pending.members, &b"\n"[..], &room].concat();
        position.snapshot = None;
        self.retry(|reader| {
            let stored = reader.log.store(at, &bytes, trim_before);
            stored.map_err(Lost::Log)
        })?;
        log::debug!("{}stored a snapshot at {at}", self.log_prefix);
        Ok(())
    }
}

/// However the thread ends, the room takes no clients any more, and those that it has are told.
impl Drop for Reader {
    fn drop(&mut self) {
        self.standing.end();
        // After a panic of the dispatcher there is nobody to tell.
        let _ = self.send(Replication::Lost);
    }
}

/// Returns a number that no other node has chosen.
fn new_token() -> u64 {
    // Its keys are random.
    RandomState::new().hash_one(SystemTime::now())
}

/// Returns the age of an entry by this machine's clock.
fn lag(id: EntryId) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let appended = Duration::from_millis(id.millis);
    now.unwrap_or_default().saturating_sub(appended)
}
