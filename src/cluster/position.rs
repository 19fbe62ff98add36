//! The place of a node in a room's log: what it has read, and what it knows by that.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::codec;
use super::digests::Digests;
use super::entry::{Entry, Incarnation, Statement};
use super::lost::Lost;
use super::members::{EntryId, Members};
use super::redis_log::{LogError, RedisLog};
use crate::chat::digest::Digest;
use crate::chat::event::RoomDigest;
use crate::chat::room::Room;
use crate::config::Config;
use crate::text::RoomName;

/// The digests that the dispatcher can owe. It replies before the next entry or two.
const DIGESTS: usize = 16;

/// The place of a node in a log, for one incarnation.
pub(super) struct Position {
    pub(super) members: Members,
    /// The last applied entry.
    pub(super) last: EntryId,
    /// The token of this incarnation's first entry.
    pub(super) token: u64,
    /// The number of this incarnation, when its first entry has come back.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) has_ended: bool,
    pub(super) digests: Digests,
    /// The points at which the members' digests are known, and the room's are not.
    owed: VecDeque<Statement>,
    room_digests: (Sender<RoomDigest>, Receiver<RoomDigest>),
    pub(super) snapshot: Option<PendingSnapshot>,
}

/// A snapshot whose room the dispatcher has been asked for.
pub(super) struct PendingSnapshot {
    pub(super) at: EntryId,
    pub(super) trim_before: EntryId,
    pub(super) members: Vec<u8>,
    pub(super) room: Receiver<Vec<u8>>,
}

impl Position {
    fn new(members: Members, last: EntryId) -> Position {
        Position {
            members,
            last,
            token: new_token(),
            incarnation: None,
            has_ended: false,
            digests: Digests::default(),
            owed: VecDeque::new(),
            room_digests: bounded(DIGESTS),
            snapshot: None,
        }
    }

    /// Returns the position and the room at an entry of the log: of its newest snapshot, or of its first entry. Begins the log if
    /// there is none.
    ///
    /// # Errors
    ///
    /// The server is not available, or what it has cannot be used.
    pub(super) fn load(
        log: &mut RedisLog,
        name: Option<&RoomName>,
        config: &Config,
    ) -> Result<(Position, Room), Lost> {
        while let Some((at, bytes)) = log.snapshot().map_err(Lost::Log)? {
            if let Some(entry) = log.entry(at).map_err(Lost::Log)? {
                // A node of another version must notice it before it appends anything.
                codec::decode(&entry).map_err(|error| Lost::Entry(at, error))?;
                let decoded = decode_snapshot(&bytes, config).ok_or(Lost::Snapshot(at));
                return decoded.map(|(members, room)| (Position::new(members, at), room));
            }
            // The log was removed or has lost its end, or there is a newer snapshot meanwhile, which is looked at next.
            log::warn!(
                "{}: the snapshot at {at} belongs to entries that are gone",
                log.address()
            );
            log.remove_snapshot(at).map_err(Lost::Log)?;
        }
        let first = match log.first().map_err(Lost::Log)? {
            Some(first) => first,
            None => {
                let genesis = codec::encode(&Entry::Genesis);
                log.create(&genesis).map_err(Lost::Log)?;
                let first = log.first().map_err(Lost::Log)?;
                first.ok_or(Lost::Log(LogError::Missing))?
            }
        };
        let (genesis, bytes) = first;
        match codec::decode(&bytes) {
            Ok(Entry::Genesis) => {}
            Ok(entry) => {
                if let Some(log_identity) = entry.log() {
                    let request = Entry::SnapshotRequest { log: log_identity };
                    log.append(&codec::encode(&request)).map_err(Lost::Log)?;
                }
                return Err(Lost::NoSnapshot(genesis));
            }
            Err(error) => return Err(Lost::Entry(genesis, error)),
        }
        let room = Room::new(name, genesis.millis, config);
        Ok((Position::new(Members::new(genesis), genesis), room))
    }

    /// Takes note that the dispatcher is asked for the room's digest at a point. Returns where it replies.
    pub(super) fn expect_digest(&mut self, point: u64) -> Sender<RoomDigest> {
        let digest = self.members.digest();
        self.owed.push_back(Statement { point, digest });
        self.room_digests.0.clone()
    }

    /// Takes the digests of the room that the dispatcher has sent. Returns those of the whole state.
    ///
    /// # Errors
    ///
    /// Another node is in a different state.
    pub(super) fn take_digests(&mut self) -> Result<Vec<Statement>, Lost> {
        let mut statements = Vec::new();
        for room in self.room_digests.1.try_iter() {
            // The dispatcher keeps the order, but does not reply if it has replied too often since the last look.
            self.owed.retain(|owed| owed.point >= room.point);
            let Some(owed) = self.owed.pop_front() else {
                continue;
            };
            let mut digest = Digest::from_value(owed.digest);
            digest.add(&room.digest.to_le_bytes());
            let statement = Statement {
                point: owed.point,
                digest: digest.value(),
            };
            self.digests.add(statement).map_err(|_| Lost::Diverged)?;
            statements.push(statement);
        }
        Ok(statements)
    }
}

fn decode_snapshot(bytes: &[u8], config: &Config) -> Option<(Members, Room)> {
    // The members are one line.
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (members, room) = (&bytes[..end], &bytes[end + 1..]);
    let members = serde_json::from_slice(members).ok()?;
    let room = Room::from_snapshot(room, config).ok()?;
    Some((members, room))
}

/// Returns a number that no other node has chosen.
pub(super) fn new_token() -> u64 {
    // Its keys are random.
    RandomState::new().hash_one(SystemTime::now())
}
