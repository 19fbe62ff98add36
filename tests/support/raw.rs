//! A client that says exactly the bytes it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::TIMEOUT;

pub struct RawClient {
    pub socket: TcpStream,
    /// What came and was not asked for yet.
    unread: Vec<u8>,
}

/// An opening handshake, with these lines more.
pub fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A frame as a client sends it: first byte, length in its shortest form, a mask, the masked payload.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65535 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> RawClient {
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
        socket.set_nodelay(true).expect("a TCP socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        socket.set_write_timeout(Some(TIMEOUT)).expect("not zero");
        RawClient {
            socket,
            unread: Vec::new(),
        }
    }

    /// Connected and upgraded.
    pub fn upgraded(address: SocketAddr, path: &str) -> RawClient {
        let mut raw = RawClient::connect(address);
        raw.send(handshake(path, "").as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server reads");
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The head of the server's answer.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).expect("heads are ASCII");
            }
            assert!(
                self.read_more().expect("a head comes") > 0,
                "ended within the head"
            );
        }
    }

    /// The next frame: its first byte and its payload. `None`: the server has closed the connection.
    ///
    /// # Errors
    ///
    /// The connection was reset, or nothing came in time.
    pub fn frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((header, length)) = header(&self.unread)
                && self.unread.len() >= header + length
            {
                let first = self.unread[0];
                let payload = self.unread.drain(..header + length).skip(header).collect();
                return Ok(Some((first, payload)));
            }
            if self.read_more()? == 0 {
                return match self.unread.len() {
                    0 => Ok(None),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.read_more()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Sends `first` once and then `again` as fast as it can, reading what comes, until told to stop. Returns how often.
    pub fn flood(mut self, first: &[u8], again: &[u8], stop: &AtomicBool) -> u64 {
        let mut reader = self.socket.try_clone().expect("a second handle");
        let reads = thread::spawn(move || {
            let mut sink = vec![0; 256 << 10];
            while reader.read(&mut sink).is_ok_and(|n| n > 0) {}
        });
        self.send(first);
        let many = again.repeat(1000);
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) && self.try_send(&many).is_ok() {
            sent += 1000;
        }
        self.socket.shutdown(Shutdown::Both).ok();
        reads.join().expect("the reader ends");
        sent
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 << 10];
        let n = self.socket.read(&mut part)?;
        self.unread.extend_from_slice(&part[..n]);
        Ok(n)
    }
}

/// The lengths of the first frame's header and payload, when the header is complete.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? {
        126 => Some((
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        )),
        127 => Some((
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        )),
        length => Some((2, (*length).into())),
    }
}
