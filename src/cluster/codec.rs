//! The encoding of entries. Plain logic.
//!
//! An entry is a version, a kind, and numbers and texts in the order of the fields: numbers as LEB128, texts with their
//! length before them. Whoever can write to the log is trusted, but bytes of any other kind are an error and no panic.

use std::fmt;
use std::net::IpAddr;

use super::entry::{Batch, BatchHeader, Change, Entry, Incarnation, Node, Statement, last_id};
use crate::chat::event::{Event, WhisperRefusal};
use crate::chat::join::{ConnectionId, Endpoint};
use crate::protocol::ClientCommand;

/// The version of the encoding and of what the entries do to a room. Nodes whose rules for names differ would disagree about
/// who may have one, so the build is part of the version.
const VERSION: u8 = if cfg!(feature = "unicode-names") {
    0x81
} else {
    0x01
};

/// The reason why bytes are no entry.
#[derive(Debug, PartialEq)]
pub(super) enum DecodeError {
    /// The entry is of another version.
    Version(u8),
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Version(version) => write!(
                f,
                "is of version {version:#x}, and this node speaks {VERSION:#x}: all nodes need the same version of threadchat, with the same features"
            ),
            DecodeError::Malformed => f.write_str("is no entry of threadchat"),
        }
    }
}

const GENESIS: u8 = 0;
const HELLO: u8 = 1;
const BATCH: u8 = 2;
const BYE: u8 = 3;
const RENEWAL: u8 = 4;
const SNAPSHOT_REQUEST: u8 = 5;

const JOINED: u8 = 0;
const JOINED_WITH_NAME: u8 = 1;
const MESSAGE: u8 = 2;
const ACTION: u8 = 3;
const WHISPER: u8 = 4;
const RENAME: u8 = 5;
const QUIT: u8 = 6;
const LEFT: u8 = 7;
const LEFT_TOO_SLOW: u8 = 8;
const WHISPER_REFUSED: u8 = 9;

const HEARTBEAT_FLAG: u8 = 1;
const STATEMENT_FLAG: u8 = 2;

/// Encodes an entry that is no batch.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Encoder(vec![VERSION]);
    match entry {
        Entry::Genesis => bytes.0.push(GENESIS),
        Entry::Hello { log, node } => {
            bytes.0.push(HELLO);
            bytes.number(*log);
            bytes.number(node.token);
            bytes.number(node.process);
            bytes.0.push(node.is_first.into());
            bytes.text(&node.name);
        }
        Entry::Renewal { log } => {
            bytes.0.push(RENEWAL);
            bytes.number(*log);
        }
        Entry::SnapshotRequest { log } => {
            bytes.0.push(SNAPSHOT_REQUEST);
            bytes.number(*log);
        }
        Entry::Bye { log, incarnation } => {
            bytes.0.push(BYE);
            bytes.number(*log);
            bytes.number((*incarnation).into());
        }
        Entry::Batch(batch) => return encode_batch(&batch.header, &[]),
    }
    bytes.0
}

/// Encodes a batch whose changes are encoded already.
pub(super) fn encode_batch(header: &BatchHeader, changes: &[u8]) -> Vec<u8> {
    let mut bytes = Encoder(Vec::with_capacity(64 + changes.len()));
    bytes.0.extend([VERSION, BATCH]);
    bytes.number(header.log);
    bytes.number(header.incarnation.into());
    bytes.number(header.sequence);
    let heartbeat = if header.is_heartbeat {
        HEARTBEAT_FLAG
    } else {
        0
    };
    let statement = header.statement.map_or(0, |_| STATEMENT_FLAG);
    bytes.0.push(heartbeat | statement);
    if let Some(Statement { point, digest }) = header.statement {
        bytes.number(point);
        bytes.number(digest);
    }
    bytes.0.extend(changes);
    bytes.0
}

/// Appends an event of a client to the changes of a batch. Returns whether the event changes the room, or what others see.
pub(super) fn encode_event(event: &Event, changes: &mut Vec<u8>) -> bool {
    let mut bytes = Encoder(std::mem::take(changes));
    let before = bytes.0.len();
    match event {
        Event::Connected {
            id,
            response,
            endpoint: Endpoint::Chat(request),
        } => {
            let address = response.outbound().peer().ip();
            bytes.joined(*id, request.name.as_deref(), address);
        }
        Event::Command(id, command, _) => bytes.command(*id, command),
        Event::Disconnected { id, reason, .. } => {
            let is_too_slow = reason.is_too_slow();
            bytes.change(if is_too_slow { LEFT_TOO_SLOW } else { LEFT }, *id);
        }
        _ => {}
    }
    *changes = bytes.0;
    changes.len() > before
}

/// Appends the refusal of a whisper, whose sender is a client of any node, to the changes of a batch.
pub(super) fn encode_refusal(refusal: &WhisperRefusal, changes: &mut Vec<u8>) {
    let mut bytes = Encoder(std::mem::take(changes));
    bytes.0.push(WHISPER_REFUSED);
    bytes.number(refusal.id);
    bytes.text(&refusal.to);
    *changes = bytes.0;
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn change(&mut self, kind: u8, id: ConnectionId) {
        self.0.push(kind);
        self.number(id & last_id(0));
    }

    fn joined(&mut self, id: ConnectionId, name: Option<&str>, address: Option<IpAddr>) {
        self.change(name.map_or(JOINED, |_| JOINED_WITH_NAME), id);
        name.into_iter().for_each(|name| self.text(name));
        self.text(&address.map_or(String::new(), |address| address.to_string()));
    }

    /// Encodes a command, unless only its sender sees the effect.
    fn command(&mut self, id: ConnectionId, command: &ClientCommand<'_>) {
        match command {
            ClientCommand::Message { text } => {
                self.change(MESSAGE, id);
                self.text(text);
            }
            ClientCommand::Action { text } => {
                self.change(ACTION, id);
                self.text(text);
            }
            ClientCommand::Whisper { to, text } => {
                self.change(WHISPER, id);
                self.text(to);
                self.text(text);
            }
            ClientCommand::Rename { name } => {
                self.change(RENAME, id);
                self.text(name);
            }
            ClientCommand::Quit => self.change(QUIT, id),
            ClientCommand::Who {}
            | ClientCommand::Help {}
            | ClientCommand::Line { .. }
            | ClientCommand::Unknown(_)
            | ClientCommand::Invalid(_) => {}
        }
    }
}

/// Decodes an entry.
///
/// # Errors
///
/// The bytes are of another version, or no entry.
pub(super) fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    match bytes {
        [VERSION, rest @ ..] => Decoder(rest).entry().ok_or(DecodeError::Malformed),
        // Versions are 1 to 15, with the bit of the build.
        [version, ..] if (1..16).contains(&(version & 0x7f)) => Err(DecodeError::Version(*version)),
        _ => Err(DecodeError::Malformed),
    }
}

struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn entry(mut self) -> Option<Entry> {
        let entry = match self.byte()? {
            GENESIS => Entry::Genesis,
            HELLO => Entry::Hello {
                log: self.number()?,
                node: Node {
                    token: self.number()?,
                    process: self.number()?,
                    is_first: self.byte()? != 0,
                    name: self.text()?,
                },
            },
            BATCH => Entry::Batch(self.batch()?),
            RENEWAL => Entry::Renewal {
                log: self.number()?,
            },
            SNAPSHOT_REQUEST => Entry::SnapshotRequest {
                log: self.number()?,
            },
            BYE => Entry::Bye {
                log: self.number()?,
                incarnation: self.incarnation()?,
            },
            _ => return None,
        };
        self.0.is_empty().then_some(entry)
    }

    fn batch(&mut self) -> Option<Batch> {
        let (log, incarnation, sequence) = (self.number()?, self.incarnation()?, self.number()?);
        let flags = self.byte()?;
        let statement = match flags & STATEMENT_FLAG {
            0 => None,
            _ => Some(Statement {
                point: self.number()?,
                digest: self.number()?,
            }),
        };
        let header = BatchHeader {
            log,
            incarnation,
            sequence,
            is_heartbeat: flags & HEARTBEAT_FLAG != 0,
            statement,
        };
        let mut changes = Vec::new();
        while !self.0.is_empty() {
            changes.push(self.change()?);
        }
        Some(Batch { header, changes })
    }

    fn change(&mut self) -> Option<Change> {
        let kind = self.byte()?;
        let client = self.number()?;
        let command = match kind {
            JOINED | JOINED_WITH_NAME => {
                let name = (kind == JOINED_WITH_NAME).then(|| self.text());
                let name = match name {
                    None => None,
                    Some(name) => Some(name?),
                };
                let address = self.text()?;
                return Some(Change::Joined {
                    client,
                    name,
                    address: address.parse().ok(),
                });
            }
            WHISPER_REFUSED => {
                let to = self.text()?;
                let refusal = WhisperRefusal { id: client, to };
                return Some(Change::WhisperRefused(refusal));
            }
            LEFT | LEFT_TOO_SLOW => {
                return Some(Change::Left {
                    client,
                    is_too_slow: kind == LEFT_TOO_SLOW,
                });
            }
            MESSAGE => ClientCommand::Message {
                text: self.text()?.into(),
            },
            ACTION => ClientCommand::Action {
                text: self.text()?.into(),
            },
            WHISPER => ClientCommand::Whisper {
                to: self.text()?.into(),
                text: self.text()?.into(),
            },
            RENAME => ClientCommand::Rename {
                name: self.text()?.into(),
            },
            QUIT => ClientCommand::Quit,
            _ => return None,
        };
        Some(Change::Command { client, command })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn incarnation(&mut self) -> Option<Incarnation> {
        self.number()?.try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()?.try_into().ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests;
