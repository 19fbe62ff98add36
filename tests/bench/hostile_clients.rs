//! Clients that violate the protocol, and the response required for each violation.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Endpoint, handshake_request};
use crate::frame;

/// Time between two cases, and between two floods.
const CASE_INTERVAL: Duration = Duration::from_millis(50);
const FLOOD_INTERVAL: Duration = Duration::from_secs(4);

/// Unfinished requests held open at a time. The server ends each of them after ten seconds.
const UNFINISHED_REQUESTS: usize = 20;

/// Timeout for the server's response and close. It allows for a machine that is busy with other work.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes to send, with the response required before the server closes.
enum Case {
    /// Sent in place of a request head. Requires an HTTP error.
    Head(&'static [u8]),
    /// Sent after a handshake. Requires a Close with this code.
    Frame(&'static [u8], u16),
    /// Sent before the client disconnects. Requires no response.
    Vanish(&'static [u8]),
}

/// A Ping with a payload of 126 bytes, one more than RFC 6455, section 5.5 allows.
const LONG_PING: [u8; 8 + 126] = {
    let mut ping = [0; 8 + 126];
    (ping[0], ping[1], ping[3]) = (0x89, 0xfe, 126);
    ping
};

const CASES: [Case; 20] = [
    Case::Head(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Case::Head(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case::Head(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    Case::Head(b"POST /chat HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    Case::Head(b"GET /chat HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    Case::Head(b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    Case::Head(&[b'x'; 9 << 10]),
    // RFC 6455: reserved bit and opcode (5.2), missing mask (5.1), oversized and fragmented Ping (5.5), continuation
    // without a first fragment (5.4), invalid UTF-8 (8.1), a message too big for the server, a close code that must not
    // be sent (7.4.1).
    Case::Frame(b"\xc1\x80\0\0\0\0", 1002),
    Case::Frame(b"\x83\x80\0\0\0\0", 1002),
    Case::Frame(b"\x81\x01x", 1002),
    Case::Frame(&LONG_PING, 1002),
    Case::Frame(b"\x09\x80\0\0\0\0", 1002),
    Case::Frame(b"\x80\x80\0\0\0\0", 1002),
    Case::Frame(b"\x81\x81\0\0\0\0\xff", 1007),
    Case::Frame(b"\x81\xff\0\0\0\0\x40\0\0\0\0\0\0\0", 1009),
    Case::Frame(b"\x88\x82\0\0\0\0\x03\xed", 1002),
    Case::Vanish(b""),
    Case::Vanish(b"GET /chat HTTP/1.1\r\nHo"),
    Case::Vanish(b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    Case::Vanish(b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\xfe\x01"),
];

/// Payload, repetitions and opcode of each flood.
const FLOODS: [(&str, usize, u8); 4] = [
    ("flood, to everybody", 2000, frame::TEXT),
    ("", 5000, frame::PING),
    ("/who", 50, frame::TEXT),
    ("/nick", 2000, frame::TEXT),
];

/// Runs the cases and floods one after the other until stopped, and counts the connections.
pub fn run(endpoint: &Endpoint, stop: &AtomicBool, connections: &AtomicU64) -> Result<(), String> {
    let mut unfinished = VecDeque::new();
    let (mut next_flood, mut floods) = (Instant::now() + FLOOD_INTERVAL, 0);
    for (index, case) in CASES.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let index = index % CASES.len();
        case.run(endpoint)
            .map_err(|error| format!("hostile case {index}: {error}"))?;
        connections.fetch_add(1, Ordering::Relaxed);
        if index == 0 {
            unfinished
                .push_back(open_unfinished_request(endpoint).map_err(|error| error.to_string())?);
            connections.fetch_add(1, Ordering::Relaxed);
        }
        if unfinished.len() > UNFINISHED_REQUESTS
            && let Some(oldest) = unfinished.pop_front()
        {
            expect_http_error(oldest).map_err(|error| format!("unfinished request: {error}"))?;
        }
        if Instant::now() >= next_flood {
            next_flood = Instant::now() + FLOOD_INTERVAL;
            let (payload, count, opcode) = FLOODS[floods % FLOODS.len()];
            flood(endpoint, payload, count, opcode)
                .map_err(|error| format!("flood of {payload:?}: {error}"))?;
            connections.fetch_add(1, Ordering::Relaxed);
            floods += 1;
        }
        thread::sleep(CASE_INTERVAL);
    }
    Ok(())
}

impl Case {
    fn run(&self, endpoint: &Endpoint) -> Result<(), String> {
        let mut socket = connect(endpoint).map_err(|error| error.to_string())?;
        // Write errors are ignored, because the server can respond and close before it has read everything.
        match self {
            Case::Head(bytes) => {
                let _ = socket.write_all(bytes);
                expect_http_error(socket)
            }
            Case::Frame(bytes, code) => {
                let _ = socket.write_all(handshake_request(endpoint, None).as_bytes());
                let _ = socket.write_all(bytes);
                expect_close(socket, *code)
            }
            Case::Vanish(bytes) => {
                let _ = socket.write_all(bytes);
                Ok(())
            }
        }
    }
}

fn open_unfinished_request(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut socket = connect(endpoint)?;
    socket.write_all(b"GET /chat HTTP/1.1\r\n")?;
    Ok(socket)
}

fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&endpoint.address, RESPONSE_TIMEOUT)?;
    socket.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    socket.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
    Ok(socket)
}

/// Sends a handshake, `count` frames and a Close at once. The server slows a flooding client down but does not
/// disconnect it, so the Close is answered as usual.
fn flood(endpoint: &Endpoint, payload: &str, count: usize, opcode: u8) -> Result<(), String> {
    let mut frames = handshake_request(endpoint, None).into_bytes();
    for _ in 0..count {
        frame::encode(&mut frames, opcode, payload.as_bytes());
    }
    frame::encode(&mut frames, frame::CLOSE, &1000u16.to_be_bytes());
    let mut socket = connect(endpoint).map_err(|error| error.to_string())?;
    socket
        .write_all(&frames)
        .map_err(|error| error.to_string())?;
    expect_close(socket, 1000)
}

/// Reads until the connection ends, and returns the bytes received before that even if it ended with a reset.
fn read_to_end(mut socket: TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut received = Vec::new();
    let result = socket.read_to_end(&mut received);
    (received, result)
}

fn expect_http_error(socket: TcpStream) -> Result<(), String> {
    let (received, result) = read_to_end(socket);
    match received.starts_with(b"HTTP/1.1 4") || received.starts_with(b"HTTP/1.1 5") {
        true => Ok(()),
        false => Err(format!(
            "expected an HTTP error, received {} bytes and {result:?}",
            received.len()
        )),
    }
}

fn expect_close(socket: TcpStream, code: u16) -> Result<(), String> {
    let (received, result) = read_to_end(socket);
    let head_end = received.windows(4).position(|four| four == b"\r\n\r\n");
    let mut frames = received
        .get(head_end.map_or(received.len(), |end| end + 4)..)
        .unwrap_or_default();
    let mut last = None;
    while let Some(frame) = frame::parse(frames) {
        last = (frame.opcode == frame::CLOSE)
            .then(|| frame::close_code(frame.payload))
            .flatten();
        frames = &frames[frame.size..];
    }
    match last == Some(code) {
        true => Ok(()),
        false => Err(format!(
            "expected Close {code}, received {last:?} after {} bytes, {result:?}",
            received.len()
        )),
    }
}
