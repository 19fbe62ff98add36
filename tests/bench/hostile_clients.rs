//! Clients that break the rules, and the answer that each must get.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Endpoint, handshake};
use crate::frame;

/// Between two of them, and between two floods.
const PAUSE: Duration = Duration::from_millis(50);
const FLOODS: Duration = Duration::from_secs(4);

/// How many half heads are held at a time: each until the server ends it, which it does after ten seconds.
const HALF_HEADS: usize = 20;

/// The server answers and closes by then, on a machine that has other work too.
const ANSWER: Duration = Duration::from_secs(30);

/// What is sent, and what must come back before the server closes.
enum Case {
    /// Instead of a request's head: an HTTP error.
    Head(&'static [u8]),
    /// Behind a handshake: a Close with this code.
    Frame(&'static [u8], u16),
    /// Anything, and then the client is gone.
    Vanish(&'static [u8]),
}

/// A Ping with a payload of 126 bytes, one too many.
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
    // RFC 6455: reserved bit and opcode (5.2), no mask (5.1), a long and a fragmented Ping (5.5), a continuation of
    // nothing (5.4), text that is not UTF-8 (8.1), one too large for the server, a code that may not be sent (7.4.1).
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

/// What a flood consists of, how many times it comes in one go, and its opcode.
const FLOOD: [(&str, usize, u8); 4] = [
    ("flood, to everybody", 2000, frame::TEXT),
    ("", 5000, frame::PING),
    ("/who", 50, frame::TEXT),
    ("/nick", 2000, frame::TEXT),
];

/// One after the other until stopped.
pub fn run(endpoint: &Endpoint, stop: &AtomicBool, connections: &AtomicU64) -> Result<(), String> {
    let mut half_heads = VecDeque::new();
    let (mut next_flood, mut floods) = (Instant::now() + FLOODS, 0);
    for (index, case) in CASES.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let index = index % CASES.len();
        case.run(endpoint)
            .map_err(|why| format!("hostile case {index}: {why}"))?;
        connections.fetch_add(1, Ordering::Relaxed);
        if index == 0 {
            half_heads.push_back(half_head(endpoint).map_err(|error| error.to_string())?);
            connections.fetch_add(1, Ordering::Relaxed);
        }
        if half_heads.len() > HALF_HEADS
            && let Some(oldest) = half_heads.pop_front()
        {
            http_error(oldest).map_err(|why| format!("half a head: {why}"))?;
        }
        if Instant::now() >= next_flood {
            next_flood = Instant::now() + FLOODS;
            let (text, times, opcode) = FLOOD[floods % FLOOD.len()];
            flood(endpoint, text, times, opcode).map_err(|why| format!("flood {text:?}: {why}"))?;
            connections.fetch_add(1, Ordering::Relaxed);
            floods += 1;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

impl Case {
    fn run(&self, endpoint: &Endpoint) -> Result<(), String> {
        let connected = connect(endpoint).map_err(|error| error.to_string());
        let mut socket = connected?;
        // The server may have closed before all is sent: what it answered counts.
        match self {
            Case::Head(bytes) => {
                let _ = socket.write_all(bytes);
                http_error(socket)
            }
            Case::Frame(bytes, code) => {
                let _ = socket.write_all(handshake(endpoint, None).as_bytes());
                let _ = socket.write_all(bytes);
                closed_with(socket, *code)
            }
            Case::Vanish(bytes) => {
                let _ = socket.write_all(bytes);
                Ok(())
            }
        }
    }
}

fn half_head(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut socket = connect(endpoint)?;
    socket.write_all(b"GET /chat HTTP/1.1\r\n")?;
    Ok(socket)
}

fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&endpoint.address, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.set_write_timeout(Some(ANSWER))?;
    Ok(socket)
}

/// All in one go, and then a Close like everybody's. A client that floods is slowed down, but not turned away.
fn flood(endpoint: &Endpoint, text: &str, times: usize, opcode: u8) -> Result<(), String> {
    let mut frames = handshake(endpoint, None).into_bytes();
    for _ in 0..times {
        frame::put(&mut frames, opcode, text.as_bytes());
    }
    frame::put(&mut frames, frame::CLOSE, &1000u16.to_be_bytes());
    let mut socket = connect(endpoint).map_err(|error| error.to_string())?;
    socket
        .write_all(&frames)
        .map_err(|error| error.to_string())?;
    closed_with(socket, 1000)
}

/// Whatever came before the end, even where that was a reset.
fn rest(mut socket: TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut received = Vec::new();
    let end = socket.read_to_end(&mut received);
    (received, end)
}

fn http_error(socket: TcpStream) -> Result<(), String> {
    let (received, end) = rest(socket);
    match received.starts_with(b"HTTP/1.1 4") || received.starts_with(b"HTTP/1.1 5") {
        true => Ok(()),
        false => Err(format!(
            "no HTTP error came, but {} bytes and {end:?}",
            received.len()
        )),
    }
}

fn closed_with(socket: TcpStream, code: u16) -> Result<(), String> {
    let (received, end) = rest(socket);
    let head = received.windows(4).position(|four| four == b"\r\n\r\n");
    let mut frames = received
        .get(head.map_or(received.len(), |at| at + 4)..)
        .unwrap_or_default();
    let mut last = None;
    while let Some(frame) = frame::first(frames) {
        last = (frame.opcode == frame::CLOSE)
            .then(|| frame::close_code(frame.payload))
            .flatten();
        frames = &frames[frame.size..];
    }
    match last == Some(code) {
        true => Ok(()),
        false => Err(format!(
            "{last:?} instead of Close {code} after {} bytes, {end:?}",
            received.len()
        )),
    }
}
