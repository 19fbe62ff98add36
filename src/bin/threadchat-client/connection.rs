//! One connection to a chat.
//!
//! tungstenite's `WebSocket` can't be split, so two of them share one socket. The thread that receives events owns the
//! first, which only reads; a writer thread owns the second, which only writes. The reading side queues its pings, pongs
//! and Close replies for the writer, and with TLS a Pong where TLS has to send something because of what was read. A server
//! that reads slowly therefore never blocks reading, and the two sides never wait for each other.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, select_biased};
use threadchat::net::{Stream, is_timeout};
use threadchat::protocol::{ClientCommand, JSON_SUBPROTOCOL, ServerEvent};
use tungstenite::Message;
use tungstenite::client::{IntoClientRequest, client_with_config};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};

use crate::cli::ServerUrl;
use crate::connect::{CONNECT_TIMEOUT, ConnectError, authorization, connect};
use crate::place::Place;

/// Idle time before a Ping. After another such period without a byte the connection counts as lost. A threadchat server
/// pings more often; this is for servers with pings switched off, and for networks that drop everything silently.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Time limit to queue a Close, to write the reply to one, and to wait for the server's reply before exiting.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Capacity of the queue to the writer, in messages. A sender blocks while the queue is full.
const SEND_QUEUE_CAPACITY: usize = 64;

/// Capacity of the queue of pings, pongs and Close replies, in messages.
const CONTROL_QUEUE_CAPACITY: usize = 4;

/// Read buffer of each of the two `WebSocket`s, in bytes.
const READ_BUFFER_SIZE: usize = 16 << 10;

/// The reading side of a connection.
pub struct Connection {
    websocket: WebSocket<ReadHalf>,
    /// Control frames. The writer sends them ahead of queued messages.
    control: Sender<Message>,
    command_sender: CommandSender,
    /// Disconnected when the writer has ended.
    writer_done: Receiver<Infallible>,
}

/// The sending side of a connection, usable from any thread.
#[derive(Clone)]
pub struct CommandSender(Sender<Message>);

/// A message was not queued. [`Connection::next_event`] returns the reason why a connection ended.
#[derive(Debug)]
pub enum SendError {
    /// The connection has ended.
    Disconnected,
    /// The queue stayed full, because the server reads nothing.
    Timeout,
}

impl CommandSender {
    /// Queues a command. Waits while the queue is full, indefinitely if `timeout` is `None`.
    pub fn send(
        &self,
        command: &ClientCommand<'_>,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        // Serializing fails only for `Quit`, `Unknown` and `Invalid`, which are never sent.
        let text = serde_json::to_string(command).map_err(|_| SendError::Disconnected)?;
        self.enqueue(Message::text(text), timeout)
    }

    /// Queues a Close after all commands sent before.
    pub fn close(&self) -> Result<(), SendError> {
        self.enqueue(Message::Close(None), Some(CLOSE_TIMEOUT))
    }

    fn enqueue(&self, message: Message, timeout: Option<Duration>) -> Result<(), SendError> {
        match timeout {
            None => self.0.send(message).map_err(|_| SendError::Disconnected),
            Some(timeout) => self
                .0
                .send_timeout(message, timeout)
                .map_err(|error| match error {
                    SendTimeoutError::Timeout(_) => SendError::Timeout,
                    SendTimeoutError::Disconnected(_) => SendError::Disconnected,
                }),
        }
    }
}

/// The reason why a connection ended.
#[derive(Debug)]
pub enum Disconnected {
    /// The server sent a Close, of its own accord or in reply to the client's.
    Closed(Option<CloseFrame>),
    /// No byte arrived from the server for twice [`PING_INTERVAL`].
    PingTimeout,
    /// The TCP connection was lost, or the server violated the WebSocket protocol.
    ConnectionLost(Error),
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disconnected::Closed(None) => write!(f, "the server closed the connection"),
            Disconnected::Closed(Some(close)) => {
                let code = u16::from(close.code);
                // RFC 6455, section 7.4.1, and 1013 from IANA's registry.
                let reason = match code {
                    _ if !close.reason.is_empty() => close.reason.as_str(),
                    1001 => "the server is shutting down",
                    1009 => "the message is too large",
                    1013 => "try again later",
                    _ => return write!(f, "the server closed the connection with code {code}"),
                };
                write!(
                    f,
                    "the server closed the connection with code {code}: {reason}"
                )
            }
            Disconnected::PingTimeout => {
                let seconds = 2 * PING_INTERVAL.as_secs();
                write!(f, "no data from the server for {seconds} s")
            }
            Disconnected::ConnectionLost(Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake,
            )) => write!(f, "the connection was lost"),
            // TLS reports the end without `close_notify` this way.
            Disconnected::ConnectionLost(Error::Io(error))
                if error.kind() == ErrorKind::UnexpectedEof =>
            {
                write!(f, "the connection was lost")
            }
            Disconnected::ConnectionLost(Error::Io(error)) => {
                write!(f, "the connection was lost: {error}")
            }
            Disconnected::ConnectionLost(error) => write!(f, "the connection was lost: {error}"),
        }
    }
}

impl std::error::Error for Disconnected {}

impl Connection {
    /// Connects to the server, and requests this name and what was sent after this place. `last_authorization` is that of the
    /// connection before, and becomes that of this one.
    pub fn open(
        url: &ServerUrl,
        name: Option<&str>,
        place: &Place,
        last_authorization: &mut Option<HeaderValue>,
    ) -> Result<Connection, ConnectError> {
        let io_error = |error: io::Error| ConnectError::Handshake(Error::Io(error));
        let authorization = authorization(url, last_authorization)?;
        let stream = connect(url)?;
        stream
            .set_read_timeout(Some(CONNECT_TIMEOUT))
            .map_err(io_error)?;
        let writer_stream = stream.try_clone(stream.peer()).map_err(io_error)?;

        let mut request = url
            .with_query(name, place.query())
            .into_client_request()
            .map_err(ConnectError::Handshake)?;
        let subprotocol = HeaderValue::from_static(JSON_SUBPROTOCOL);
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", subprotocol);
        if let Some(authorization) = authorization {
            let headers = request.headers_mut();
            headers.insert("Authorization", authorization);
        }
        let (control, control_frames) = bounded(CONTROL_QUEUE_CAPACITY);
        let stream = ReadHalf {
            stream,
            control: control.clone(),
            handshaking: true,
            received_since_ping: true,
        };
        let (mut websocket, _) = client_with_config(request, stream, Some(config()))
            .map_err(|error| ConnectError::from_handshake(error, url))?;

        let stream = websocket.get_mut();
        stream.handshaking = false;
        stream
            .stream
            .set_read_timeout(Some(PING_INTERVAL))
            .map_err(io_error)?;
        stream.stream.set_write_timeout(None).map_err(io_error)?;
        let (message_sender, messages) = bounded(SEND_QUEUE_CAPACITY);
        let (done, writer_done) = bounded(0);
        thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let _done: Sender<Infallible> = done;
                // The reading side meets the same error on the socket and reports it.
                let _ = write_loop(writer_stream, &control_frames, &messages);
            })
            .map_err(io_error)?;
        Ok(Connection {
            websocket,
            control,
            command_sender: CommandSender(message_sender),
            writer_done,
        })
    }

    pub fn command_sender(&self) -> CommandSender {
        self.command_sender.clone()
    }

    /// Waits for the next event from the server. Skips messages that are not events of this version's protocol.
    pub fn next_event(&mut self) -> Result<ServerEvent<'static>, Disconnected> {
        loop {
            match self.websocket.read() {
                Ok(Message::Text(text)) => {
                    if let Ok(event) = serde_json::from_str(&text) {
                        return Ok(event);
                    }
                }
                // If the queue is full of earlier pongs, this pong can be left out (RFC 6455, section 5.5.3).
                Ok(Message::Ping(payload)) => drop(self.control.try_send(Message::Pong(payload))),
                Ok(Message::Close(close)) => {
                    // If this Close replies to the client's own, the writer has already ended.
                    let _ = self.control.try_send(Message::Close(close.clone()));
                    let _ = self.writer_done.recv_timeout(CLOSE_TIMEOUT);
                    return Err(Disconnected::Closed(close));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {
                    let stream = self.websocket.get_mut();
                    if !std::mem::take(&mut stream.received_since_ping) {
                        return Err(Disconnected::PingTimeout);
                    }
                    let _ = self.control.try_send(Message::Ping(Default::default()));
                }
                Err(error) => return Err(Disconnected::ConnectionLost(error)),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Unblocks a writer that waits for the server to read. The socket can be closed already.
        self.websocket.get_ref().stream.shutdown();
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_SIZE)
        .write_buffer_size(READ_BUFFER_SIZE)
}

/// Writes queued messages until a Close is written or the connection ends. The writer thread runs this function.
fn write_loop(
    stream: Stream,
    control_frames: &Receiver<Message>,
    messages: &Receiver<Message>,
) -> tungstenite::Result<()> {
    let mut websocket = WebSocket::from_raw_socket(WriteHalf(stream), Role::Client, Some(config()));
    loop {
        let received = select_biased! {
            recv(control_frames) -> message => message,
            recv(messages) -> message => message,
        };
        // An error means that the reading side has been dropped.
        let Ok(message) = received else { return Ok(()) };
        let is_close = message.is_close();
        websocket.write(message)?;
        if is_close || messages.is_empty() {
            websocket.flush()?;
        }
        if is_close {
            return Ok(());
        }
    }
}

/// The stream of the reading `WebSocket`.
struct ReadHalf {
    stream: Stream,
    control: Sender<Message>,
    /// During the handshake the reading `WebSocket` writes to the socket itself.
    handshaking: bool,
    /// A byte arrived since the last Ping. The handshake counts.
    received_since_ping: bool,
}

impl Read for ReadHalf {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A write of the writer's sends what TLS has to send. If its queue is full, it writes anyway.
        let send_output = || drop(self.control.try_send(Message::Pong(Default::default())));
        let received = self.stream.read_with(buf, send_output)?;
        self.received_since_ping |= received > 0;
        Ok(received)
    }
}

impl Write for ReadHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.handshaking {
            self.stream.write_all(bytes)?;
        }
        // Otherwise drops tungstenite's own replies to a Ping or a Close. The writer thread sends them.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stream of the writing `WebSocket`, which never reads.
struct WriteHalf(Stream);

impl Read for WriteHalf {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for WriteHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
