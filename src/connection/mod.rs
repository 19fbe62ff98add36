//! The life of one WebSocket, on a thread of its own: it reads, and passes on what it reads.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendError, Sender};
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Bytes, Message};

use crate::chat::dispatcher::{Event, JoinRequest};
use crate::chat::room::Id;
use crate::config::Config;
use crate::http::read_until_closed;
use crate::outbound::Outbound;
use crate::protocol::{self, Dialect};
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::validator::FrameValidator;

/// tungstenite allocates this for each connection and zeroes it before each read. A chat message fits several times; 4
/// KiB made nothing measurably faster, and an idle client cost 3 KB more.
const READ_BUFFER_SIZE: usize = 1 << 10;

/// How long the thread reads on after the last Close, so that the client gets it.
const LINGER: Duration = Duration::from_secs(2);

/// A client that was silent may send at once what is due in this time.
const BURST: Duration = Duration::from_secs(1);

/// One open WebSocket, before its thread runs.
pub(crate) struct Connection {
    pub(crate) id: Id,
    pub(crate) outbound: Arc<Outbound>,
    /// What a chat client is. `None`: it wants back what it sends.
    pub(crate) chat: Option<JoinRequest>,
    /// What came behind the request's head.
    pub(crate) already_read: Vec<u8>,
    pub(crate) inbox: Sender<Event>,
}

impl Connection {
    /// Serves the client until it leaves. The thread's whole work.
    pub(crate) fn run(mut self, options: &Config) {
        let dialect = self.chat.as_ref().map(|newcomer| newcomer.dialect);
        let opened = Event::Opened {
            id: self.id,
            outbound: Arc::clone(&self.outbound),
            chat: self.chat,
        };
        // From here on the dispatcher is told when this thread ends, even by a panic.
        let mut goodbye = Goodbye {
            id: self.id,
            outbound: self.outbound,
            inbox: self.inbox,
            why: DisconnectReason::InternalError,
            reply: None,
        };
        if goodbye.inbox.send(opened).is_err() {
            // Only a panic ends the dispatcher before this thread, and that is what `why` says.
            return;
        }
        if let Err(error) = goodbye.outbound.socket().set_read_timeout(options.ping) {
            goodbye.why = DisconnectReason::ConnectionLost(error.kind());
            return;
        }
        let mut stream = Stream {
            outbound: Arc::clone(&goodbye.outbound),
            heard: true,
            reply: None,
            echoes: dialect.is_none(),
            framing: FrameValidator::default(),
            wrong: None,
        };
        self.already_read.truncate(stream.good(&self.already_read));
        let mut reader = Reader {
            websocket: WebSocket::from_partially_read(
                stream,
                self.already_read,
                Role::Server,
                Some(config(options)),
            ),
            pace: options.rate_limit.map(RateLimiter::new),
            code: None,
        };
        goodbye.why = match dialect {
            Some(dialect) => reader.chat(goodbye.id, dialect, &goodbye.inbox),
            None => reader.echo(),
        };
        goodbye.reply = reader.websocket.get_mut().reply.take();
    }
}

fn config(options: &Config) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_SIZE)
        // Whole frames go to the Outbound at once, which is the one buffer there is.
        .write_buffer_size(0)
        .max_message_size(Some(options.max_message))
        .max_frame_size(Some(options.max_message))
}

struct Reader {
    websocket: WebSocket<Stream>,
    pace: Option<RateLimiter>,
    /// The code in the client's Close, once that has come.
    code: Option<u16>,
}

impl Reader {
    /// Passes requests on until the client leaves. Waits for the client, or for room in the dispatcher's inbox.
    fn chat(&mut self, id: Id, dialect: Dialect, inbox: &Sender<Event>) -> DisconnectReason {
        loop {
            match self.next() {
                Ok(Message::Text(text)) => {
                    log::trace!("{id}: {text:?}");
                    let request = protocol::decode(dialect, &text);
                    if inbox.send(Event::Asked(id, request)).is_err() {
                        // The dispatcher ends before this thread only by a panic.
                        return DisconnectReason::InternalError;
                    }
                }
                Ok(_) => {}
                Err(why) => return why,
            }
        }
    }

    /// Sends everything back. Waits for the client to send, or to take what was sent.
    fn echo(&mut self) -> DisconnectReason {
        loop {
            let (opcode, payload) = match self.next() {
                Ok(Message::Text(text)) => (Data::Text, Bytes::from(text)),
                Ok(Message::Binary(bytes)) => (Data::Binary, bytes),
                Ok(_) => continue,
                Err(why) => return why,
            };
            self.outbound()
                .send_waiting(protocol::frame(OpCode::Data(opcode), &payload));
        }
    }

    fn outbound(&self) -> &Arc<Outbound> {
        &self.websocket.get_ref().outbound
    }

    /// The next message, or why there is none any more.
    fn next(&mut self) -> Result<Message, DisconnectReason> {
        loop {
            match self.websocket.read() {
                Ok(Message::Close(frame)) => self.code = frame.map(|frame| frame.code.into()),
                Ok(message) => {
                    // What it sent before it was cut off can still be read, and at its rate for hours.
                    if let Some(why) = self.outbound().cut_reason() {
                        return Err(why);
                    }
                    if let Some(pace) = &mut self.pace {
                        pace.keep();
                    }
                    return Ok(message);
                }
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.silence()?;
                }
                Err(error) => {
                    return Err(match DisconnectReason::from_read(error) {
                        DisconnectReason::ClosedByPeer(_) => {
                            DisconnectReason::ClosedByPeer(self.code)
                        }
                        why => why,
                    });
                }
            }
        }
    }

    /// Not a byte for the heartbeat's period.
    fn silence(&mut self) -> Result<(), DisconnectReason> {
        // A Ping would wait behind what it has not taken. Its writer thread sees whether it lives.
        if self.outbound().is_behind() {
            return Ok(());
        }
        let heard = std::mem::take(&mut self.websocket.get_mut().heard);
        if !heard {
            return Err(DisconnectReason::PingTimeout);
        }
        self.outbound().send(protocol::ping());
        Ok(())
    }
}

/// Slows a client down to its rate by making its thread wait: what it sends then stays in its own TCP window.
struct RateLimiter {
    per_message: Duration,
    /// When everything sent so far was due at that rate; up to a burst in the past.
    due: Instant,
}

impl RateLimiter {
    fn new(per_second: u32) -> RateLimiter {
        let now = Instant::now();
        RateLimiter {
            per_message: Duration::from_secs(1) / per_second,
            due: now.checked_sub(BURST).unwrap_or(now),
        }
    }

    /// Accounts for one message.
    fn keep(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(self.due);
        self.due = self.due.max(earliest) + self.per_message;
        thread::sleep(self.due.saturating_duration_since(now));
    }
}

/// The socket as tungstenite sees it: reads pass [`FrameValidator`] first, writes go to the outbound channel.
struct Stream {
    outbound: Arc<Outbound>,
    /// Something came since the last Ping. A client that has just shaken hands counts as heard.
    heard: bool,
    /// The answer to the client's Close, once that has come.
    reply: Option<Bytes>,
    echoes: bool,
    framing: FrameValidator,
    /// What is wrong behind the bytes that tungstenite has been given.
    wrong: Option<DisconnectReason>,
}

impl Stream {
    /// How many of these bytes tungstenite may have.
    fn good(&mut self, bytes: &[u8]) -> usize {
        match self.framing.check(bytes) {
            Ok(()) => bytes.len(),
            Err((good, why)) => {
                self.wrong = Some(why);
                good
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(why) = self.wrong.take() {
                return Err(io::Error::other(why));
            }
            match self.outbound.socket().read(buf) {
                // Signals end a read that has a timeout, even where system calls are restarted.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Ok(0),
                Ok(n) => {
                    self.heard = true;
                    // What came before something wrong still counts, so that comes with the next read.
                    match self.good(&buf[..n]) {
                        0 => {}
                        good => return Ok(good),
                    }
                }
                error => return error,
            }
        }
    }
}

/// tungstenite writes the pongs and the reply to a Close by itself, each frame in one write. The reply is left to
/// [`Goodbye`]: what the client said before it is still on its way back to it, by the dispatcher.
impl Write for Stream {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        const CLOSE: u8 = 0x88;
        let bytes = Bytes::copy_from_slice(frame);
        match frame.first() {
            Some(&CLOSE) => self.reply = Some(bytes),
            _ if self.echoes => self.outbound.send_waiting(bytes),
            _ => self.outbound.send(bytes),
        }
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells the client and the dispatcher that this connection has ended, whichever way its thread goes.
struct Goodbye {
    id: Id,
    outbound: Arc<Outbound>,
    inbox: Sender<Event>,
    why: DisconnectReason,
    /// The answer to the client's Close.
    reply: Option<Bytes>,
}

impl Drop for Goodbye {
    fn drop(&mut self) {
        // When it was cut off, what the read said is only a consequence.
        let why = self
            .outbound
            .cut_reason()
            .unwrap_or_else(|| self.why.clone());
        // The client's Close answers ours, which is written: nothing is left to be read or written.
        let all_said = self.reply.is_some() && self.outbound.is_finished();
        let close = self.reply.take().or_else(|| why.close_frame());
        let has_last_word = close.is_some();
        let left = Event::Left {
            id: self.id,
            why: why.clone(),
            close,
        };
        if let Err(SendError(Event::Left {
            close: Some(close), ..
        })) = self.inbox.send(left)
        {
            // There is no dispatcher any more that could send it behind everything else.
            self.outbound.close(close);
        }
        let client_closes = || has_last_word && read_until_closed(self.outbound.socket(), LINGER);
        if all_said || client_closes() {
            self.outbound.end();
        } else {
            self.outbound.cut(why);
        }
    }
}
