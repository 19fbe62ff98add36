//! The connection of one client: a socket that is non-blocking, at the latest after the handshake, and the bytes in
//! transit.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::frame;

/// Timeout of each step of a handshake, for a server that is busy accepting thousands of clients.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Address and path of a chat.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub path: String,
}

pub struct Connection {
    pub socket: TcpStream,
    /// The handshake response has been received.
    upgraded: bool,
    /// Received bytes of an incomplete frame or handshake response.
    partial: Vec<u8>,
    /// Bytes that the socket has not accepted yet.
    pub unsent: Vec<u8>,
}

impl Connection {
    /// Connects and performs the handshake, requesting `subprotocol` if given.
    ///
    /// # Errors
    ///
    /// The connection attempt fails, or the response is not an upgrade. The error then contains its status line.
    pub fn open(endpoint: &Endpoint, subprotocol: Option<&str>) -> io::Result<Connection> {
        let mut socket = TcpStream::connect_timeout(&endpoint.address, HANDSHAKE_TIMEOUT)?;
        prepare(&socket)?;
        socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        socket.write_all(handshake_request(endpoint, subprotocol).as_bytes())?;
        let mut received = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            if let Some(size) = response_size(&received)? {
                received.drain(..size);
                socket.set_nonblocking(true)?;
                return Ok(Connection {
                    socket,
                    upgraded: true,
                    partial: received,
                    unsent: Vec::new(),
                });
            }
            match socket.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => received.extend(&buffer[..n]),
            }
        }
    }

    /// Starts to connect without waiting. The handshake request is unsent until the socket is writable, and the
    /// response is read by [`Connection::receive`].
    pub fn start(endpoint: &Endpoint) -> io::Result<Connection> {
        let family = match endpoint.address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &endpoint.address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        prepare(&socket)?;
        Ok(Connection {
            socket,
            upgraded: false,
            partial: Vec::new(),
            unsent: handshake_request(endpoint, None).into_bytes(),
        })
    }

    /// Writes unsent bytes until the socket accepts no more.
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

    /// Reads once through `buffer` and calls `on_frame` for each complete frame with its opcode, its payload, and the
    /// unsent bytes, to which a reply can be appended. Answers Pings itself.
    ///
    /// # Errors
    ///
    /// The connection has ended, the handshake response is not an upgrade, or a frame is larger than the buffer.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        mut on_frame: impl FnMut(u8, &[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        let kept = self.partial.len();
        if kept >= buffer.len() {
            return Err(io::Error::other("a frame exceeds the read buffer"));
        }
        buffer[..kept].copy_from_slice(&self.partial);
        let end = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => kept + n,
            // The bytes received together with the handshake response can contain complete frames.
            Err(error) if error.kind() == ErrorKind::WouldBlock => kept,
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..end];
        if !self.upgraded
            && let Some(size) = response_size(rest)?
        {
            self.upgraded = true;
            rest = &rest[size..];
        }
        while self.upgraded
            && let Some(frame) = frame::parse(rest)
        {
            if frame.opcode == frame::PING {
                frame::encode(&mut self.unsent, frame::PONG, frame.payload);
            } else {
                on_frame(frame.opcode, frame.payload, &mut self.unsent);
            }
            rest = &rest[frame.size..];
        }
        self.partial.clear();
        self.partial.extend(rest);
        Ok(())
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    // Without a reset, thousands of ports would be in TIME_WAIT and unavailable in the next round.
    Ok(rustix::net::sockopt::set_socket_linger(
        socket,
        Some(Duration::ZERO),
    )?)
}

/// Returns the size of the handshake response at the start of `received`, or `None` if it is incomplete.
///
/// # Errors
///
/// The response is not an upgrade. The error contains its status line.
fn response_size(received: &[u8]) -> io::Result<Option<usize>> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n");
    if end.is_some() && !received.starts_with(b"HTTP/1.1 101 ") {
        let response = String::from_utf8_lossy(received);
        let status_line = response.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!(
            "the handshake failed: {status_line:?}"
        )));
    }
    Ok(end.map(|end| end + 4))
}

/// Returns the head of a WebSocket handshake request.
pub fn handshake_request(endpoint: &Endpoint, subprotocol: Option<&str>) -> String {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        endpoint.path, endpoint.address
    );
    if let Some(name) = subprotocol {
        // Writing to a String does not fail.
        let _ = write!(head, "Sec-WebSocket-Protocol: {name}\r\n");
    }
    head + "\r\n"
}
