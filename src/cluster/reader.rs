//! The thread that reads a room's log and passes every entry to the dispatcher.

mod pauses;
mod recovery;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};

use self::pauses::ReturnPauses;
use super::appender::{IN_FLIGHT, InFlight};
use super::codec;
use super::entry::{Batch, Entry, Node, first_id, last_id};
use super::lost::Lost;
use super::members::{Effect, EntryId, SnapshotDue, Verdict};
use super::position::{PendingSnapshot, Position, new_token};
use super::redis_log::{READ_ENTRIES, RedisLog};
use super::standing::{PAUSES, Phase, Standing};
use crate::chat::event::{Event, Replication, Restored, Step, WhisperRefusal};
use crate::config::Config;
use crate::text::RoomName;

pub(super) struct Reader {
    log: RedisLog,
    dispatcher: Sender<Event>,
    in_flight: Receiver<InFlight>,
    refusals: Sender<WhisperRefusal>,
    standing: Arc<Standing>,
    room: Option<RoomName>,
    config: Config,
    pub(super) log_prefix: String,
    /// The last reply of the server.
    heard: Instant,
    /// Tells this process from others with the same name.
    process: u64,
    /// Whether no incarnation has begun yet.
    is_first: bool,
    /// The identity of the log that was read last.
    log_seen: Option<u64>,
    /// The first entry of a log without a beginning and a snapshot, when it was found, and whether the others have had enough
    /// time at the last attempt.
    no_snapshot: Option<(EntryId, Instant, bool)>,
    /// Whether this node has seen entries that the log has lost, and the room has no new life yet.
    is_renewing: bool,
    /// The identity of the log, and the last entry that clients of this node can have seen, until the room has a new life.
    shown: Option<(u64, EntryId)>,
}

impl Reader {
    pub(super) fn new(
        log: RedisLog,
        dispatcher: Sender<Event>,
        in_flight: Receiver<InFlight>,
        refusals: Sender<WhisperRefusal>,
        standing: Arc<Standing>,
        room: Option<&RoomName>,
        config: &Config,
    ) -> Reader {
        Reader {
            log,
            dispatcher,
            in_flight,
            refusals,
            standing,
            log_prefix: room.map_or(String::new(), |name| format!("room {}: ", name.as_str())),
            room: room.cloned(),
            config: config.clone(),
            heard: Instant::now(),
            process: new_token(),
            is_first: true,
            log_seen: None,
            no_snapshot: None,
            is_renewing: false,
            shown: None,
        }
    }

    /// Follows the log from this position, or from its snapshot, until the room ends; comes back after each loss. The work of
    /// the thread.
    pub(super) fn run(mut self, mut first: Option<Position>) {
        let mut pauses = ReturnPauses::new();
        loop {
            let began = Instant::now();
            self.heard = began;
            let lost = match self.follow(first.take()) {
                Ok(()) => return,
                Err(lost) => lost,
            };
            if lost == Lost::Dispatcher || self.standing.phase() == Phase::Ended {
                return;
            }
            let is_removed = match lost {
                Lost::NoSnapshot(at) => self.abandon_log(at),
                _ => false,
            };
            if lost.renews() {
                self.begin_renewal();
            }
            if self.send(Replication::Lost).is_err() {
                return;
            }
            self.standing.leave();
            let address = self.log.address();
            log::error!(
                "{}{address}: {lost}; clients are told to connect again",
                self.log_prefix
            );
            if is_removed {
                pauses = ReturnPauses::new();
            }
            let pause = pauses.after(&lost, began.elapsed());
            self.standing.wait_while(Phase::Away, pause);
            if self.standing.phase() == Phase::Ended {
                return;
            }
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
            let is_at_end = entries.len() < READ_ENTRIES;
            for (id, bytes) in entries {
                self.apply(&mut position, id, &bytes)?;
            }
            // The server had confirmed this node's first entry before the first read, and has lost it.
            if is_at_end && position.incarnation.is_none() {
                return Err(Lost::Hello);
            }
            for statement in position.take_digests()? {
                self.standing.set_statement(statement);
            }
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
            if self.heard.elapsed() >= self.standing.patience() || phase == Phase::Ended {
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
        let (position, room) = Position::load(&mut self.log, self.room.as_ref(), &self.config)?;
        self.find_loss(position.members.log())?;
        self.renew_if_needed(position.members.log());
        self.log_seen = Some(position.members.log());
        let hello = Entry::Hello {
            log: position.members.log(),
            node: Node {
                name: self.log.address().node.clone(),
                token: position.token,
                process: self.process,
                is_first: self.is_first,
            },
        };
        self.log.append(&codec::encode(&hello)).map_err(Lost::Log)?;
        let refusals = self.refusals.clone();
        self.send(Replication::Restore(Box::new(Restored { room, refusals })))?;
        Ok(position)
    }

    fn send(&self, replication: Replication) -> Result<(), Lost> {
        let sent = self.dispatcher.send(Event::Replication(replication));
        sent.map_err(|_| Lost::Dispatcher)
    }

    /// Applies an entry to the members, and passes what it does to the room on.
    fn apply(&mut self, position: &mut Position, id: EntryId, bytes: &[u8]) -> Result<(), Lost> {
        let entry = codec::decode(bytes).map_err(|error| Lost::Entry(id, error))?;
        let effect = position.members.apply(id, bytes, &entry);
        let effect = effect.map_err(|_| Lost::OtherLog)?;
        position.last = id;
        if position.incarnation.is_some() {
            self.shown = Some((position.members.log(), id));
        }
        self.standing
            .count(|metrics| metrics.count_read(bytes.len(), lag(id)));
        let mut steps = Vec::new();
        for (incarnation, reason) in &effect.gone {
            if position.incarnation == Some(*incarnation) {
                return Err(Lost::Removed(reason.clone()));
            }
            if position.incarnation.is_some() {
                log::warn!("{}{reason}", self.log_prefix);
            }
            steps.push(Step::LeaveAll(
                first_id(*incarnation)..=last_id(*incarnation),
            ));
        }
        let mut applied = None;
        match entry {
            Entry::Hello { node, .. } => {
                self.admit(position, &effect.verdict, &node)?;
            }
            Entry::Batch(batch) => {
                // One that is ignored can be of an earlier log, whose points are others.
                if effect.verdict == Verdict::Applies
                    && let Some(statement) = batch.header.statement
                {
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
                // They have left before, unless the log has lost the entry in which they did.
                if effect.verdict == Verdict::Ended {
                    steps.push(Step::LeaveAll(first_id(incarnation)..=last_id(incarnation)));
                }
            }
            Entry::Renewal { .. } => steps.push(Step::Renew),
            Entry::Genesis | Entry::SnapshotRequest { .. } => {}
        }
        if !steps.is_empty() {
            let time = id.millis;
            let is_past = position.incarnation.is_none();
            self.send(Replication::Steps {
                time,
                steps,
                is_past,
            })?;
        }
        if let Some(applied) = applied {
            self.standing.set_applied(applied);
        }
        self.ask_dispatcher(position, id, effect)
    }

    /// Takes note of a node that begins an incarnation.
    fn admit(
        &mut self,
        position: &mut Position,
        verdict: &Verdict,
        node: &Node,
    ) -> Result<(), Lost> {
        let (name, is_own) = (&node.name, node.token == position.token);
        match *verdict {
            Verdict::Admitted(incarnation) if is_own => {
                self.is_first = false;
                position.incarnation = Some(incarnation);
                (self.standing).join(position.members.log(), incarnation, position.token);
                log::info!(
                    "{}{}: this node is {name}, incarnation {incarnation}",
                    self.log_prefix,
                    self.log.address()
                );
            }
            Verdict::Admitted(_) if position.incarnation.is_some() => {
                log::info!("{}node {name} is here", self.log_prefix);
            }
            Verdict::NameTaken if is_own => return Err(Lost::NameTaken(name.clone())),
            _ => {}
        }
        Ok(())
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
            in_flight.refuse(&self.dispatcher);
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
            let reply = position.expect_digest(point);
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

/// Returns the age of an entry by this machine's clock.
fn lag(id: EntryId) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let appended = Duration::from_millis(id.millis);
    now.unwrap_or_default().saturating_sub(appended)
}
