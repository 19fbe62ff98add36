//! One WebSocket connection: its thread reads messages and passes commands to the dispatcher.

mod message_reader;
mod rate_limiter;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{SendError, Sender};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Message};

use self::message_reader::MessageReader;
use crate::chat::event::{ConnectionId, Endpoint, Event};
use crate::config::{CLOSE_TIMEOUT, Config, LINGER_TIMEOUT};
use crate::outbound::{Outbound, PendingResponse};
use crate::protocol::Dialect;
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::frame;

/// A WebSocket connection whose handshake is complete.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) outbound: Outbound,
    pub(crate) inbox: Sender<Event>,
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
    ///
    /// `already_read` holds the bytes received after the request's head.
    pub(crate) fn run(
        &self,
        response: Vec<u8>,
        endpoint: Endpoint,
        already_read: Vec<u8>,
        config: &Config,
    ) {
        let served = catch_unwind(AssertUnwindSafe(|| {
            self.serve(response, endpoint, already_read, config)
        }));
        self.disconnect(served.unwrap_or_else(|_| DisconnectReason::InternalError.into()));
    }

    fn serve(
        &self,
        response: Vec<u8>,
        endpoint: Endpoint,
        already_read: Vec<u8>,
        config: &Config,
    ) -> End {
        let dialect = match &endpoint {
            Endpoint::Chat(request) => Some(request.dialect),
            Endpoint::Echo => None,
        };
        let connected = Event::Connected {
            id: self.id,
            response: PendingResponse::new(self.outbound.clone(), response),
            endpoint,
        };
        if self.inbox.send(connected).is_err() {
            // Only a panic ends the dispatcher before this thread.
            return DisconnectReason::InternalError.into();
        }
        if let Err(error) = self.outbound.stream().set_read_timeout(config.ping) {
            return DisconnectReason::ConnectionLost(error.kind()).into();
        }
        let mut reader =
            MessageReader::new(&self.outbound, already_read, dialect.is_none(), config);
        let reason = match dialect {
            Some(dialect) => self.chat(&mut reader, dialect),
            None => self.echo(&mut reader),
        };
        End {
            reason,
            close_reply: reader.take_close_reply(),
        }
    }

    /// Waits for the next message. When a Ping is due, waits for room in the inbox.
    fn next_message(&self, reader: &mut MessageReader) -> Result<Message, DisconnectReason> {
        loop {
            if let Some(message) = reader.next_message()? {
                return Ok(message);
            }
            if self.inbox.send(Event::Idle(self.id)).is_err() {
                return Err(DisconnectReason::InternalError);
            }
        }
    }

    /// Passes commands to the dispatcher until the client disconnects. Waits for the client, or for room in the inbox.
    fn chat(&self, reader: &mut MessageReader, dialect: Dialect) -> DisconnectReason {
        loop {
            match self.next_message(reader) {
                Ok(Message::Text(text)) => {
                    log::trace!("{}: {text:?}", self.id);
                    let command = dialect.decode(&text);
                    if self.inbox.send(Event::Command(self.id, command)).is_err() {
                        return DisconnectReason::InternalError;
                    }
                }
                Ok(_) => {}
                Err(reason) => return reason,
            }
        }
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
    fn disconnect(
        &self,
        End {
            reason,
            close_reply,
        }: End,
    ) {
        // A failed read is only the consequence if the connection was aborted.
        let reason = self.outbound.abort_reason().unwrap_or(reason);
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
