//! Table-driven tests: a client's frames, and the frames that the server must return up to the end of the connection.

use std::net::SocketAddr;
use std::time::Instant;

use super::raw::{self, RawClient};
use super::{TIMEOUT, TestServer, config};
use threadchat::Config;

/// First bytes of unfragmented frames: FIN and the opcode.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// A data frame with a reserved opcode.
pub const RESERVED_OPCODE: u8 = 0x83;
/// First byte of a message's last fragment: FIN and the continuation opcode.
pub const CONTINUATION: u8 = 0x80;

/// Cases with fewer bytes are also sent byte by byte.
const MAX_BYTEWISE: usize = 300;

/// One row of a table.
pub struct Case {
    /// The section of RFC 6455.
    section: &'static str,
    title: String,
    sent: Vec<u8>,
    expected: Vec<(u8, Vec<u8>)>,
    /// The payload of the server's Close.
    close: Vec<u8>,
}

/// Returns a case in which the server replies to the frames `sent` with those `expected` and keeps the connection open.
pub fn accepted(
    section: &'static str,
    title: impl Into<String>,
    sent: &[Vec<u8>],
    expected: &[(u8, &[u8])],
) -> Case {
    let close = raw::frame(CLOSE, &1000_u16.to_be_bytes());
    Case {
        sent: [sent.concat(), close].concat(),
        ..rejected(section, title, &[], expected, 1000)
    }
}

/// Returns a case in which the server replies to the frames `sent` with those `expected` and closes with this code.
pub fn rejected(
    section: &'static str,
    title: impl Into<String>,
    sent: &[Vec<u8>],
    expected: &[(u8, &[u8])],
    code: u16,
) -> Case {
    let expected = expected
        .iter()
        .map(|&(first, payload)| (first, payload.into()));
    Case {
        section,
        title: title.into(),
        sent: sent.concat(),
        expected: expected.collect(),
        close: code.to_be_bytes().into(),
    }
}

impl Case {
    /// Sets the whole payload that the server's Close must have.
    pub fn with_close_payload(mut self, payload: &[u8]) -> Case {
        self.close = payload.into();
        self
    }
}

/// Returns a frame's header and a mask of zeros, with the length in an extended field of 0, 2 or 8 bytes.
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

/// Runs every case with and without TLS.
pub fn run(config: Config, cases: &[Case]) {
    #[cfg(feature = "tls")]
    {
        let server = super::tls::TunneledServer::start(config.clone());
        run_on(server.address, cases);
    }
    run_on(TestServer::with_config(config).address, cases);
}

/// Runs every case on `/echo` and on `/chat`. On `/chat`, the messages that the server broadcasts are ignored.
fn run_on(address: SocketAddr, cases: &[Case]) {
    let start = Instant::now();
    let mut runs = 0;
    for case in cases {
        for path in ["/echo", "/chat"] {
            case.run(address, path, case.sent.len());
            runs += 1;
            if case.sent.len() < MAX_BYTEWISE {
                case.run(address, path, 1);
                runs += 1;
            }
        }
    }
    let elapsed = start.elapsed();
    eprintln!("{runs} runs of {} cases in {elapsed:?}", cases.len());
}

impl Case {
    fn run(&self, address: SocketAddr, path: &str, chunk_size: usize) {
        let title = format!(
            "{path}, section {}: {} (in chunks of {chunk_size})",
            self.section, self.title
        );
        let start = Instant::now();
        let mut raw = RawClient::upgraded(address, path);
        for chunk in self.sent.chunks(chunk_size.max(1)) {
            if raw.try_send(chunk).is_err() {
                break;
            }
        }
        let mut received = Vec::new();
        let close = loop {
            match raw.frame() {
                Ok(Some((CLOSE, payload))) => break payload,
                Ok(Some((TEXT | BINARY, _))) if path == "/chat" => {}
                Ok(Some(frame)) => received.push(frame),
                other => panic!("{title}: {other:?} after {received:x?}"),
            }
        };
        let mut expected = self.expected.clone();
        expected.retain(|(first, _)| path == "/echo" || ![TEXT, BINARY].contains(first));
        assert!(received == expected, "{title}: {received:x?}");
        assert_eq!(close, self.close, "{title}");
        match raw.frame() {
            Ok(None) => {}
            other => panic!("{title}: after the Close: {other:?}"),
        }
        assert!(
            start.elapsed() < TIMEOUT / 2,
            "{title}: took {:?}",
            start.elapsed()
        );
    }
}

/// Returns a configuration with this message limit.
pub fn with_max_message(max_message: usize) -> Config {
    Config {
        max_message,
        ..config()
    }
}
