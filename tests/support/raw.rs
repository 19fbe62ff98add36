//! A client that sends arbitrary bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::TIMEOUT;

pub struct RawClient {
    pub socket: TcpStream,
    /// Received bytes that no method has returned yet.
    unread: Vec<u8>,
}

/// Returns an opening handshake with these additional header lines.
pub fn handshake(path: &str, header_lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header_lines}\r\n"
    )
}

/// Returns a client's frame: the first byte, the minimal length, the mask, the masked payload.
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

/// Returns a frame with the opcode of `first`, and with the FIN bit set to `fin`.
pub fn fragment(first: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame(first & 0x7f | u8::from(fin) << 7, payload)
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> RawClient {
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
        RawClient::from_socket(socket)
    }

    pub fn from_socket(socket: TcpStream) -> RawClient {
        socket
            .set_nodelay(true)
            .expect("TCP sockets have TCP_NODELAY");
        RawClient::with_timeouts(socket)
    }

    /// Connects to a Unix socket.
    pub fn connect_unix(path: &Path) -> RawClient {
        RawClient::with_timeouts(unix_stream(path).expect("the server listens"))
    }

    fn with_timeouts(socket: TcpStream) -> RawClient {
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        socket
            .set_write_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        RawClient {
            socket,
            unread: Vec::new(),
        }
    }

    /// Connects and completes the opening handshake.
    pub fn upgraded(address: SocketAddr, path: &str) -> RawClient {
        let mut raw = RawClient::connect(address);
        raw.send(handshake(path, "").as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server is reading");
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Reads the head of the server's HTTP response.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).expect("response heads are ASCII");
            }
            assert!(
                self.read_more().expect("the server sends a response") > 0,
                "the connection ended within the response head"
            );
        }
    }

    /// Reads the next frame and returns its first byte and its payload, or `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// Fails if the connection is reset or nothing arrives in time.
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

    /// Reads everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.read_more()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let n = self.socket.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

/// Connects to a Unix socket. The type is that of TCP, so that clients have one type: of its methods, only the options of TCP fail.
pub fn unix_stream(path: &Path) -> io::Result<TcpStream> {
    Ok(OwnedFd::from(UnixStream::connect(path)?).into())
}

/// Connects from this address, which is one of 127.0.0.0/8.
pub fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a free descriptor");
    bind(&socket, &SocketAddr::from((source, 0))).expect("all of 127/8 is local");
    connect(&socket, &server).expect("the server listens");
    TcpStream::from(socket)
}

/// Parses the lengths of the first frame's header and payload. Returns `None` while the header is incomplete.
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
