//! The nodes of a log, as its entries tell. Plain logic: every node that applies the same entries comes to the same members.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::entry::{BatchHeader, Entry, Incarnation, MAX_INCARNATION, Node};
use crate::chat::digest::Digest;

/// The time of the log after which a silent node is gone, in milliseconds. Ten heartbeats.
pub(super) const SILENCE: u64 = 10_000;

/// The most that one entry moves the time of the log, in milliseconds. Each node sends a heartbeat each second, so a longer
/// step is a clock that was set, or a server that was away, and no silence of a single node.
const MAX_STEP: u64 = 2000;

/// A snapshot is due after this many entries or bytes. A node that starts reads about as many at most, and as many again for
/// each snapshot that its node did not store because it died.
const SNAPSHOT_ENTRIES: u64 = 10_000;
const SNAPSHOT_BYTES: u64 = 4 << 20;

/// The id that the log gives an entry: milliseconds since 1970, and a number for those of one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) struct EntryId {
    pub(super) millis: u64,
    pub(super) number: u64,
}

impl EntryId {
    /// Parses an id as Redis writes it.
    pub(super) fn parse(text: &str) -> Option<EntryId> {
        let (millis, number) = text.split_once('-')?;
        Some(EntryId {
            millis: millis.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// A node in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    name: String,
    token: u64,
    process: u64,
    /// The sequence of the next batch.
    next: u64,
    /// The time of its last entry, on the log's clock.
    heard: u64,
}

/// The nodes of a log, and what must be known of its past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Members {
    log: u64,
    nodes: BTreeMap<Incarnation, Member>,
    last_incarnation: Incarnation,
    /// The time of the last entry in milliseconds since 1970.
    millis: u64,
    /// The log's own clock, in milliseconds since its beginning. It does not jump.
    clock: u64,
    /// The digest of all entries.
    digest: u64,
    /// The number of all entries.
    entries: u64,
    /// The entries and bytes since a snapshot was due.
    since_snapshot: (u64, u64),
    /// The entries at which the last two snapshots were due.
    snapshots: [EntryId; 2],
}

/// What an entry does to the members.
#[derive(Debug, PartialEq)]
pub(super) struct Effect {
    pub(super) verdict: Verdict,
    /// The nodes that are gone at this entry, with the reason.
    pub(super) gone: Vec<(Incarnation, String)>,
    /// The number of entries, if all nodes compare their digests here.
    pub(super) point: Option<u64>,
    pub(super) snapshot: Option<SnapshotDue>,
}

/// A node has to store a snapshot.
#[derive(Debug, PartialEq)]
pub(super) struct SnapshotDue {
    /// The node, if it is still there.
    pub(super) incarnation: Option<Incarnation>,
    /// When the snapshot is stored, nobody needs the entries before this one.
    pub(super) trim_before: EntryId,
}

/// What is to be done with an entry.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// A node begins this incarnation.
    Admitted(Incarnation),
    /// Another process is there with the node's name.
    NameTaken,
    /// The batch is the next one of its node.
    Applies,
    /// A batch of the node is missing before this one: all nodes ignore it.
    Gap,
    /// The entry was here before, or its node is gone: all nodes ignore it.
    Ignored,
    /// The incarnation has ended.
    Ended,
}

/// The entry belongs to a later log, which has taken the place of this one.
#[derive(Debug, PartialEq)]
pub(super) struct OtherLog;

impl Members {
    /// Returns the members of a log whose first entry has this id: none.
    pub(super) fn new(genesis: EntryId) -> Members {
        Members {
            log: genesis.millis,
            nodes: BTreeMap::new(),
            last_incarnation: 0,
            millis: genesis.millis,
            clock: 0,
            digest: Digest::default().value(),
            entries: 1,
            since_snapshot: (0, 0),
            snapshots: [genesis; 2],
        }
    }

    /// Returns the identity of the log: the time of its first entry.
    pub(super) fn log(&self) -> u64 {
        self.log
    }

    /// Applies the next entry.
    ///
    /// # Errors
    ///
    /// The entry belongs to a later log.
    pub(super) fn apply(
        &mut self,
        id: EntryId,
        bytes: &[u8],
        entry: &Entry,
    ) -> Result<Effect, OtherLog> {
        // Several nodes may have begun the log at once.
        let log = entry.log().unwrap_or(self.log);
        if log > self.log {
            return Err(OtherLog);
        }
        self.count(id, bytes);
        let mut gone = self.remove_silent();
        let verdict = match entry {
            // A node that has not noticed yet that its log was removed.
            _ if log < self.log => Verdict::Ignored,
            Entry::Genesis | Entry::Renewal { .. } | Entry::SnapshotRequest { .. } => {
                Verdict::Ignored
            }
            Entry::Hello { node, .. } => {
                gone.extend(self.remove_former_selves(node));
                self.admit(node)
            }
            Entry::Batch(batch) => self.accept(&batch.header),
            Entry::Bye { incarnation, .. } => match self.nodes.remove(incarnation) {
                Some(_) => Verdict::Ended,
                None => Verdict::Ignored,
            },
        };
        Ok(Effect {
            point: self.is_point(entry, &verdict).then_some(self.entries),
            snapshot: self.snapshot_due(id, entry),
            verdict,
            gone,
        })
    }

    fn count(&mut self, id: EntryId, bytes: &[u8]) {
        let step = id.millis.saturating_sub(self.millis).min(MAX_STEP);
        self.clock += step;
        self.millis = id.millis;
        let mut digest = Digest::from_value(self.digest);
        digest.add(&id.millis.to_le_bytes());
        digest.add(bytes);
        self.digest = digest.value();
        self.entries += 1;
        self.since_snapshot.0 += 1;
        self.since_snapshot.1 += bytes.len() as u64;
    }

    fn remove_silent(&mut self) -> Vec<(Incarnation, String)> {
        let clock = self.clock;
        self.remove_if(
            |member| clock - member.heard >= SILENCE,
            |name| format!("node {name} was silent for {} s", SILENCE / 1000),
        )
    }

    /// Removes the incarnations of a node that has come back before it was missed.
    fn remove_former_selves(&mut self, node: &Node) -> Vec<(Incarnation, String)> {
        let is_same = |member: &Member| node.is_first || member.process == node.process;
        self.remove_if(
            |member| member.name == node.name && member.token != node.token && is_same(member),
            |name| format!("a node has begun anew as {name}"),
        )
    }

    /// Removes the nodes for which this is true. Returns them with the reason.
    fn remove_if(
        &mut self,
        is_gone: impl Fn(&Member) -> bool,
        reason: impl Fn(&str) -> String,
    ) -> Vec<(Incarnation, String)> {
        let mut gone = Vec::new();
        self.nodes.retain(|incarnation, member| {
            let is_gone = is_gone(member);
            if is_gone {
                gone.push((*incarnation, reason(&member.name)));
            }
            !is_gone
        });
        gone
    }

    fn admit(&mut self, node: &Node) -> Verdict {
        let mut members = self.nodes.values();
        if let Some(member) = members.find(|member| member.name == node.name) {
            // An entry that was appended twice, or another process, of which the first one stays.
            return match member.token == node.token {
                true => Verdict::Ignored,
                false => Verdict::NameTaken,
            };
        }
        if self.last_incarnation == MAX_INCARNATION {
            return Verdict::Ignored;
        }
        self.last_incarnation += 1;
        let member = Member {
            name: node.name.clone(),
            token: node.token,
            process: node.process,
            next: 0,
            heard: self.clock,
        };
        self.nodes.insert(self.last_incarnation, member);
        Verdict::Admitted(self.last_incarnation)
    }

    fn accept(&mut self, header: &BatchHeader) -> Verdict {
        let Some(member) = self.nodes.get_mut(&header.incarnation) else {
            return Verdict::Ignored;
        };
        member.heard = self.clock;
        if header.sequence < member.next {
            return Verdict::Ignored;
        }
        if header.sequence > member.next {
            return Verdict::Gap;
        }
        member.next += 1;
        Verdict::Applies
    }

    /// Returns whether all nodes compare their digests at this entry: at the heartbeats of the first of them, about once a
    /// second for any number of nodes.
    fn is_point(&self, entry: &Entry, verdict: &Verdict) -> bool {
        let first = self.nodes.keys().next();
        matches!(entry, Entry::Batch(batch) if batch.header.is_heartbeat
            && *verdict == Verdict::Applies
            && first == Some(&batch.header.incarnation))
    }

    fn snapshot_due(&mut self, id: EntryId, entry: &Entry) -> Option<SnapshotDue> {
        let (entries, bytes) = self.since_snapshot;
        let is_requested = matches!(entry, Entry::SnapshotRequest { .. });
        if entries < SNAPSHOT_ENTRIES && bytes < SNAPSHOT_BYTES && !is_requested {
            return None;
        }
        self.since_snapshot = (0, 0);
        let trim_before = self.snapshots[1];
        self.snapshots = [trim_before, id];
        let incarnation = match entry {
            Entry::Batch(batch) => Some(batch.header.incarnation),
            _ => self.nodes.keys().next().copied(),
        };
        Some(SnapshotDue {
            incarnation: incarnation.filter(|incarnation| self.nodes.contains_key(incarnation)),
            trim_before,
        })
    }

    /// Returns a number that is the same for nodes that have applied the same entries, and begun with the same members.
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Digest::from_value(self.digest);
        // Writing to a digest cannot fail.
        let _ = serde_json::to_writer(&mut digest, &(&self.nodes, self.clock));
        digest.value()
    }
}

#[cfg(test)]
mod tests;
