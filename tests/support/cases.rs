//! Tables of what a client sends and what must come back, up to the end of the connection.

use std::net::SocketAddr;
use std::time::Instant;

use super::raw::{self, RawClient};
use super::{TIMEOUT, config};
use threadchat::Config;

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// To be added to the first byte of a message's first frame that is not its last.
pub const MORE: u8 = 0x80;

/// Shorter ones are sent byte by byte too.
const SHORT: usize = 300;

/// One line of a table.
pub struct Case {
    /// Of RFC 6455.
    section: &'static str,
    what: String,
    sent: Vec<u8>,
    back: Vec<(u8, Vec<u8>)>,
    /// The payload of the server's Close.
    close: Vec<u8>,
}

/// These frames get these ones back, and the connection stays.
pub fn accepted(
    section: &'static str,
    what: impl Into<String>,
    sent: &[Vec<u8>],
    back: &[(u8, &[u8])],
) -> Case {
    let bye = raw::frame(CLOSE, &1000_u16.to_be_bytes());
    Case {
        sent: [sent.concat(), bye].concat(),
        ..rejected(section, what, &[], back, 1000)
    }
}

/// These frames get these ones back, and then the server closes with this code.
pub fn rejected(
    section: &'static str,
    what: impl Into<String>,
    sent: &[Vec<u8>],
    back: &[(u8, &[u8])],
    code: u16,
) -> Case {
    let back = back.iter().map(|&(first, payload)| (first, payload.into()));
    Case {
        section,
        what: what.into(),
        sent: sent.concat(),
        back: back.collect(),
        close: code.to_be_bytes().into(),
    }
}

impl Case {
    /// The server's Close says exactly this.
    pub fn closed_with(mut self, payload: &[u8]) -> Case {
        self.close = payload.into();
        self
    }
}

/// A frame's header and mask, its length in a field of this many bytes: 0 (within the second byte), 2 or 8.
pub fn header(first: u8, field: usize, length: u64) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let mut header = vec![first];
    header.push(
        0x80 | match field {
            0 => bytes[7],
            2 => 126,
            _ => 127,
        },
    );
    header.extend(&bytes[8 - field..]);
    header.extend([0; 4]);
    header
}

/// Plays every case in the echo and in the chat, where what is said to all is not looked at.
pub fn run(address: SocketAddr, cases: &[Case]) {
    let start = Instant::now();
    let mut played = 0;
    for case in cases {
        for path in ["/echo", "/chat"] {
            case.run(address, path, case.sent.len());
            played += 1;
            if case.sent.len() < SHORT {
                case.run(address, path, 1);
                played += 1;
            }
        }
    }
    let elapsed = start.elapsed();
    eprintln!("{played} plays of {} cases in {elapsed:?}", cases.len());
}

impl Case {
    fn run(&self, address: SocketAddr, path: &str, part: usize) {
        let title = format!(
            "{path}, section {}: {} (in parts of {part})",
            self.section, self.what
        );
        let start = Instant::now();
        let mut raw = RawClient::upgraded(address, path);
        for part in self.sent.chunks(part.max(1)) {
            if raw.try_send(part).is_err() {
                break;
            }
        }
        let mut back = Vec::new();
        let close = loop {
            match raw.frame() {
                Ok(Some((CLOSE, payload))) => break payload,
                Ok(Some((TEXT | BINARY, _))) if path == "/chat" => {}
                Ok(Some(frame)) => back.push(frame),
                other => panic!("{title}: {other:?} after {back:x?}"),
            }
        };
        let mut expected = self.back.clone();
        expected.retain(|(first, _)| path == "/echo" || ![TEXT, BINARY].contains(first));
        assert!(back == expected, "{title}: {back:x?}");
        assert_eq!(close, self.close, "{title}");
        match raw.frame() {
            Ok(None) => {}
            other => panic!("{title}: behind the Close: {other:?}"),
        }
        assert!(start.elapsed() < TIMEOUT / 2, "{title}: only after a while");
    }
}

/// A server that takes messages of this size.
pub fn with_max_message(max_message: usize) -> Config {
    Config {
        max_message,
        ..config()
    }
}
