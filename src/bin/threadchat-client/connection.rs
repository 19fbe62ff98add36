//! One connection to a chat.
//!
//! tungstenite's `WebSocket` can't be split, so there are two of them on one socket. Whoever hears owns the one that
//! reads; what it wants to write is left to the other, which a thread of its own owns and which only writes. So a server
//! that is slow to read never keeps us from reading, and the two can't wait for each other.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, select_biased};
use threadchat::protocol::{ClientCommand, JSON_SUBPROTOCOL, ServerEvent};
use tungstenite::client::{IntoClientRequest, client_with_config};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};
use tungstenite::{HandshakeError, Message};

use crate::cli::Target;

/// How long each address of the server, and then its handshake, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Silence before we ping, and as long again before the server counts as gone. A threadchat server pings more often by
/// itself; this is for one that was told not to, and for a network that drops everything.
const QUIET: Duration = Duration::from_secs(30);

/// How long a last Close may take to be written.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Messages that may wait to be written; then whoever sends waits.
const QUEUED: usize = 64;

/// Both `WebSocket`s allocate this.
const READ_BUFFER_SIZE: usize = 16 << 10;

/// The reading side.
pub struct Connection {
    websocket: WebSocket<Stream>,
    /// Goes ahead of the messages: pings, pongs and the reply to a Close.
    control: Sender<Message>,
    outgoing: Outgoing,
    /// Disconnected when the writer has ended.
    written: Receiver<Infallible>,
}

/// The sending side, for any thread.
#[derive(Clone)]
pub struct Outgoing(Sender<Message>);

/// Nothing is sent any more: the reading side tells why.
#[derive(Debug)]
pub enum SendError {
    /// The connection has ended.
    Ended,
    /// The server took nothing for that long.
    Stuck,
}

impl Outgoing {
    /// Waits while the server takes what was sent before, for ever when no time is given.
    pub fn send(
        &self,
        request: &ClientCommand<'_>,
        patience: Option<Duration>,
    ) -> Result<(), SendError> {
        // Serialising fails for the two that are never sent, and for nothing else.
        let text = serde_json::to_string(request).map_err(|_| SendError::Ended)?;
        self.put(Message::text(text), patience)
    }

    /// Says goodbye, after everything that was sent.
    pub fn close(&self) -> Result<(), SendError> {
        self.put(Message::Close(None), Some(LAST_WORD))
    }

    fn put(&self, message: Message, patience: Option<Duration>) -> Result<(), SendError> {
        match patience {
            None => self.0.send(message).map_err(|_| SendError::Ended),
            Some(patience) => self
                .0
                .send_timeout(message, patience)
                .map_err(|error| match error {
                    SendTimeoutError::Timeout(_) => SendError::Stuck,
                    SendTimeoutError::Disconnected(_) => SendError::Ended,
                }),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The host's name or address leads nowhere.
    Unknown(String, io::Error),
    /// Nobody took the connection there.
    Refused(String, u16, io::Error),
    /// A server answered, in HTTP.
    Answered(String, StatusCode),
    /// A server answered, but not as this chat does.
    NoChat,
    /// It took the connection and said nothing.
    Silent,
    /// Somewhere in the handshake.
    Failed(Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Unknown(host, error) => write!(f, "can't find {host:?}: {error}"),
            ConnectError::Refused(host, port, error) => {
                write!(f, "can't connect to {host} on port {port}: {error}")
            }
            ConnectError::Answered(path, status) => {
                write!(f, "the server answered {status}")?;
                match *status {
                    StatusCode::SERVICE_UNAVAILABLE => write!(f, ": it is full, try again later"),
                    StatusCode::OK | StatusCode::NOT_FOUND => {
                        write!(f, ": no chat at {path}; threadchat's is at /chat")
                    }
                    _ => Ok(()),
                }
            }
            ConnectError::NoChat => write!(f, "the server doesn't speak {JSON_SUBPROTOCOL}"),
            ConnectError::Silent => write!(f, "the server doesn't answer"),
            ConnectError::Failed(Error::Io(error)) => write!(f, "the handshake failed: {error}"),
            ConnectError::Failed(error) => write!(f, "the handshake failed: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    fn from_handshake(
        error: HandshakeError<impl tungstenite::handshake::HandshakeRole>,
        target: &Target,
    ) -> ConnectError {
        match error {
            HandshakeError::Interrupted(_) => ConnectError::Silent,
            HandshakeError::Failure(Error::Http(response)) => {
                ConnectError::Answered(target.path().to_owned(), response.status())
            }
            HandshakeError::Failure(Error::Protocol(
                ProtocolError::SecWebSocketSubProtocolError(_),
            )) => ConnectError::NoChat,
            HandshakeError::Failure(error) => ConnectError::Failed(error),
        }
    }
}

/// Why there is nothing more to hear.
#[derive(Debug)]
pub enum Ended {
    /// The server closed, or answered our Close.
    Closed(Option<CloseFrame>),
    /// Not a byte from the server for twice [`QUIET`].
    Silent,
    /// The connection broke, or what came was no WebSocket.
    Lost(Error),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Closed(None) => write!(f, "the server closed the connection"),
            Ended::Closed(Some(close)) => {
                write!(f, "the server closed the connection, ")?;
                // RFC 6455, section 7.4.1, and 1013 from IANA's registry.
                match (&close.reason, u16::from(close.code)) {
                    (reason, code) if !reason.is_empty() => write!(f, "code {code}: {reason}"),
                    (_, 1001) => write!(f, "as it is shutting down"),
                    (_, 1009) => write!(f, "as a message was too large for it"),
                    (_, 1013) => write!(f, "to try again later"),
                    (_, code) => write!(f, "code {code}"),
                }
            }
            Ended::Silent => write!(f, "the server was silent for {} s", 2 * QUIET.as_secs()),
            Ended::Lost(Error::Io(error)) => write!(f, "the connection was lost: {error}"),
            Ended::Lost(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                write!(f, "the connection was lost")
            }
            Ended::Lost(error) => write!(f, "the connection was lost: {error}"),
        }
    }
}

impl std::error::Error for Ended {}

impl Connection {
    /// Connects, asking for this name.
    pub fn open(target: &Target, name: Option<&str>) -> Result<Connection, ConnectError> {
        let socket = connect(target)?;
        let started = || -> io::Result<TcpStream> {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.try_clone()
        };
        let failed = |error: io::Error| ConnectError::Failed(Error::Io(error));
        let writing = started().map_err(failed)?;

        let mut request = target
            .url(name)
            .into_client_request()
            .map_err(ConnectError::Failed)?;
        let subprotocol = HeaderValue::from_static(JSON_SUBPROTOCOL);
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", subprotocol);
        let stream = Stream {
            socket,
            shaking: true,
            heard: true,
        };
        let (mut websocket, _) = client_with_config(request, stream, Some(config()))
            .map_err(|error| ConnectError::from_handshake(error, target))?;

        let stream = websocket.get_mut();
        stream.shaking = false;
        stream
            .socket
            .set_read_timeout(Some(QUIET))
            .map_err(failed)?;
        stream.socket.set_write_timeout(None).map_err(failed)?;
        let (control, controls) = bounded(4);
        let (outgoing, messages) = bounded(QUEUED);
        let (writer, written) = bounded(0);
        thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let _ended: Sender<Infallible> = writer;
                // The reading side sees what became of the socket.
                let _ = write(writing, &controls, &messages);
            })
            .map_err(failed)?;
        Ok(Connection {
            websocket,
            control,
            outgoing: Outgoing(outgoing),
            written,
        })
    }

    pub fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// Waits for what the server tells next. What this version has no words for is skipped.
    pub fn hear(&mut self) -> Result<ServerEvent<'static>, Ended> {
        loop {
            match self.websocket.read() {
                Ok(Message::Text(text)) => {
                    if let Ok(told) = serde_json::from_str(&text) {
                        return Ok(told);
                    }
                }
                // With the queue full of earlier pongs this one may be left out (RFC 6455, section 5.5.3).
                Ok(Message::Ping(payload)) => drop(self.control.try_send(Message::Pong(payload))),
                Ok(Message::Close(close)) => {
                    // The writer has ended when this answers our own Close.
                    let _ = self.control.try_send(Message::Close(close.clone()));
                    let _ = self.written.recv_timeout(LAST_WORD);
                    return Err(Ended::Closed(close));
                }
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if !std::mem::take(&mut self.websocket.get_mut().heard) {
                        return Err(Ended::Silent);
                    }
                    let _ = self.control.try_send(Message::Ping(Default::default()));
                }
                Err(error) => return Err(Ended::Lost(error)),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Wakes a writer that waits for the server. It may be closed already.
        let _ = self.websocket.get_ref().socket.shutdown(Shutdown::Both);
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_SIZE)
        .write_buffer_size(READ_BUFFER_SIZE)
}

/// To the first of the host's addresses that answers.
fn connect(target: &Target) -> Result<TcpStream, ConnectError> {
    let Target { host, port, .. } = target;
    let unknown = |error| ConnectError::Unknown(host.clone(), error);
    let addresses = (host.as_str(), *port).to_socket_addrs().map_err(unknown)?;
    let mut failed = unknown(ErrorKind::NotFound.into());
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = ConnectError::Refused(host.clone(), *port, error),
        }
    }
    Err(failed)
}

/// Writes everything, up to a Close or the end of the connection. The writer's whole work.
fn write(
    socket: TcpStream,
    controls: &Receiver<Message>,
    messages: &Receiver<Message>,
) -> tungstenite::Result<()> {
    let mut websocket = WebSocket::from_raw_socket(socket, Role::Client, Some(config()));
    loop {
        let next = select_biased! {
            recv(controls) -> message => message,
            recv(messages) -> message => message,
        };
        // The reading side is gone.
        let Ok(message) = next else { return Ok(()) };
        let last = message.is_close();
        websocket.write(message)?;
        if last || messages.is_empty() {
            websocket.flush()?;
        }
        if last {
            return Ok(());
        }
    }
}

/// The socket as the reading `WebSocket` sees it.
struct Stream {
    socket: TcpStream,
    /// Until the handshake is done, it writes by itself.
    shaking: bool,
    /// Something came since the last silence. The handshake counts.
    heard: bool,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buf) {
                // A resized window's signal ends a read that has a timeout.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.heard |= result.as_ref().is_ok_and(|&bytes| bytes > 0);
                    return result;
                }
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shaking {
            return self.socket.write(bytes);
        }
        // tungstenite's own answer to a Ping or a Close: the writer gives that.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
