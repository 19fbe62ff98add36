//! One client: a socket that never waits once the handshake is done, and the bytes that are on their way.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::frame;

/// For a server that takes its time to accept one of thousands.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Where a chat is.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub path: String,
}

pub struct Connection {
    pub socket: TcpStream,
    /// What came of a frame that is not complete.
    partial: Vec<u8>,
    /// What the socket has not taken yet.
    pub unsent: Vec<u8>,
}

impl Connection {
    /// Connects and shakes hands, offering this subprotocol if any.
    ///
    /// # Errors
    ///
    /// The server is not there, or its answer (then the first line of it) is no upgrade.
    pub fn open(at: &Endpoint, subprotocol: Option<&str>) -> io::Result<Connection> {
        let mut socket = TcpStream::connect_timeout(&at.address, HANDSHAKE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE))?;
        // Thousands of ports in TIME_WAIT would be missing in the next round.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        socket.write_all(handshake(at, subprotocol).as_bytes())?;
        let mut received = Vec::new();
        let mut part = [0; 2048];
        loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                if !received.starts_with(b"HTTP/1.1 101 ") {
                    let answer = String::from_utf8_lossy(&received);
                    let line = answer.lines().next().unwrap_or_default();
                    return Err(io::Error::other(format!("{line:?} to a client")));
                }
                received.drain(..end + 4);
                socket.set_nonblocking(true)?;
                return Ok(Connection {
                    socket,
                    partial: received,
                    unsent: Vec::new(),
                });
            }
            match socket.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => received.extend(&part[..n]),
            }
        }
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once, by way of `buffer`, and shows each whole frame: its opcode, its payload, and the unsent bytes, where
    /// a reply may be put. Pings are answered here.
    ///
    /// # Errors
    ///
    /// The connection has ended, in any way; or a frame is larger than the buffer.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(u8, &[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        let begun = self.partial.len();
        if begun >= buffer.len() {
            return Err(io::Error::other("a frame larger than all messages sent"));
        }
        buffer[..begun].copy_from_slice(&self.partial);
        let end = match self.socket.read(&mut buffer[begun..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => begun + n,
            // What came right behind the handshake may be whole frames.
            Err(error) if error.kind() == ErrorKind::WouldBlock => begun,
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..end];
        while let Some(frame) = frame::first(rest) {
            if frame.opcode == frame::PING {
                frame::put(&mut self.unsent, frame::PONG, frame.payload);
            } else {
                each(frame.opcode, frame.payload, &mut self.unsent);
            }
            rest = &rest[frame.size..];
        }
        self.partial.clear();
        self.partial.extend(rest);
        Ok(())
    }
}

/// The head of the request for a WebSocket.
pub fn handshake(at: &Endpoint, subprotocol: Option<&str>) -> String {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        at.path, at.address
    );
    if let Some(name) = subprotocol {
        // Writing to a String does not fail.
        let _ = write!(head, "Sec-WebSocket-Protocol: {name}\r\n");
    }
    head + "\r\n"
}
