//! One WebSocket connection: its thread reads messages and passes commands to the dispatcher.

mod message_reader;
mod rate_limiter;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crossbeam_channel::{SendError, Sender};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Message};

use self::message_reader::MessageReader;
use crate::chat::event::Event;
use crate::chat::join::{ConnectionId, Endpoint};
use crate::config::{CLOSE_TIMEOUT, Config, LINGER_TIMEOUT};
use crate::outbound::{Outbound, PendingResponse};
use crate::protocol::Dialect;
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::frame;

/// A WebSocket connection whose handshake is complete.
///
/// Most connections wait for their client most of the time. Functions that do anything else are not inlined, and the reader
/// is on the heap: the frames of a thread that waits then fit into two pages of stack, also with TLS, and into one with musl. Inlined, they
/// take a third page, 4 KiB for each idle client.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) outbound: Outbound,
    pub(crate) inbox: Sender<Event>,
    /// Whether the time of each message is counted.
    pub(crate) is_timed: bool,
}

/// What a connection begins with.
pub(crate) struct Opening {
    /// The handshake's response, which is not written yet.
    pub(crate) response: Vec<u8>,
    pub(crate) endpoint: Endpoint,
    /// The bytes received after the request's head.
    pub(crate) already_read: Vec<u8>,
}

/// The end of a connection.
struct End {
    reason: DisconnectReason,
    /// The reply to the client's Close, if the client sent one.
    close_reply: Option<Bytes>,
}

impl From<DisconnectReason> for End {
    fn from(reason: DisconnectReason) -> End {
        End {
            reason,
            close_reply: None,
        }
    }
}

impl Connection {
    /// Serves the client until it disconnects. Runs on the connection's thread.
    pub(crate) fn run(&self, opening: Box<Opening>, config: &Config) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(opening, config)));
        self.disconnect(served.unwrap_or_else(|_| DisconnectReason::InternalError.into()));
    }
    fn serve(&self, opening: Box<Opening>, config: &Config) -> End {
        let dialect = opening.endpoint.dialect();
        let mut reader = match self.open(opening, config) {
            Ok(reader) => reader,
            Err(reason) => return reason.into(),
        };
        let reason = match dialect {
            Some(dialect) => self.chat(&mut reader, dialect),
            None => self.echo(&mut reader),
        };
        End {
            reason,
            close_reply: reader.take_close_reply(),
        }
    }

    /// Passes the handshake's response to the dispatcher, and creates the reader.
    #[inline(never)]
    // By value, the opening would be a part of the caller's frame.
    #[allow(clippy::boxed_local)]
    fn open(
        &self,
        opening: Box<Opening>,
        config: &Config,
    ) -> Result<Box<MessageReader>, DisconnectReason> {
        let is_echo = opening.endpoint.dialect().is_none();
        self.send(Event::Connected {
            id: self.id,
            response: PendingResponse::new(self.outbound.clone(), opening.response),
            endpoint: opening.endpoint,
        })?;
        let stream = self.outbound.stream();
        stream
            .set_read_timeout(config.ping)
            .map_err(|error| DisconnectReason::ConnectionLost(error.kind()))?;
        Ok(Box::new(MessageReader::new(
            &self.outbound,
            opening.already_read,
            is_echo,
            config,
        )))
    }

    /// Waits for the next message. When a Ping is due, waits for room in the inbox.
    fn next_message(&self, reader: &mut MessageReader) -> Result<Message, DisconnectReason> {
        loop {
            if let Some(message) = reader.next_message()? {
                return Ok(message);
            }
            self.order_ping()?;
        }
    }

    #[inline(never)]
    fn order_ping(&self) -> Result<(), DisconnectReason> {
        self.send(Event::Idle(self.id))
    }

    /// Passes commands to the dispatcher until the client disconnects. Waits for the client, or for room in the inbox.
    fn chat(&self, reader: &mut MessageReader, dialect: Dialect) -> DisconnectReason {
        loop {
            match self.next_message(reader) {
                Ok(Message::Text(text)) => {
                    if let Err(reason) = self.on_text(&text, dialect) {
                        return reason;
                    }
                }
                Ok(_) => {}
                Err(reason) => return reason,
            }
        }
    }

    #[inline(never)]
    fn on_text(&self, text: &str, dialect: Dialect) -> Result<(), DisconnectReason> {
        log::trace!("{}: {text:?}", self.id);
        let received = self.is_timed.then(Instant::now);
        self.send(Event::Command(self.id, dialect.decode(text), received))
    }

    /// Passes an event to the dispatcher. Waits for room in the inbox.
    #[inline(never)]
    fn send(&self, event: Event) -> Result<(), DisconnectReason> {
        // Only a panic ends the dispatcher before this thread.
        let sent = self.inbox.send(event);
        sent.map_err(|_| DisconnectReason::InternalError)
    }

    /// Returns every message to the client. Waits for the client to send, or to accept what was sent.
    fn echo(&self, reader: &mut MessageReader) -> DisconnectReason {
        loop {
            let (data, payload) = match self.next_message(reader) {
                Ok(Message::Text(text)) => (Data::Text, Bytes::from(text)),
                Ok(Message::Binary(bytes)) => (Data::Binary, bytes),
                Ok(_) => continue,
                Err(reason) => return reason,
            };
            self.outbound
                .send_blocking(frame::frame(OpCode::Data(data), &payload));
        }
    }

    /// Reports the end to the client and the dispatcher, and ends the connection. If the server sends
    /// the last Close, waits up to [`CLOSE_TIMEOUT`] for the client to accept it, and up to [`LINGER_TIMEOUT`] for the client
    /// to close.
    #[inline(never)]
    fn disconnect(
        &self,
        End {
            reason,
            close_reply,
        }: End,
    ) {
        let reason = match self.outbound.abort_reason() {
            // The client closed before a write failed.
            Some(DisconnectReason::ConnectionLost(_)) if close_reply.is_some() => reason,
            // A failed read is only the consequence of an abort.
            Some(abort_reason) => abort_reason,
            None => reason,
        };
        // The client's Close replies to the server's, which has been written: both sides are done.
        let close_handshake_done = close_reply.is_some() && self.outbound.close_sent();
        let close = close_reply.or_else(|| reason.close_frame());
        let sends_close = close.is_some();
        let disconnected = Event::Disconnected {
            id: self.id,
            reason: reason.clone(),
            close,
        };
        if let Err(SendError(Event::Disconnected {
            close: Some(close), ..
        })) = self.inbox.send(disconnected)
        {
            // The dispatcher has ended, so this thread sends the Close.
            self.outbound.close(close);
        }
        let peer_closes = || {
            // A client that has ended its sending direction still receives what precedes the Close.
            self.outbound.wait_for_close(CLOSE_TIMEOUT);
            self.outbound.stream().lingering_close(LINGER_TIMEOUT)
        };
        if close_handshake_done || (sends_close && peer_closes()) {
            self.outbound.shutdown();
        } else {
            self.outbound.abort(reason);
        }
    }
}
