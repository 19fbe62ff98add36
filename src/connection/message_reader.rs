//! Reading messages from one client.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tungstenite::error::Error;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Bytes, Message};

use super::rate_limiter::RateLimiter;
use super::stream::ValidatedStream;
use crate::config::Config;
use crate::net::is_timeout;
use crate::outbound::Outbound;
use crate::websocket::disconnect::DisconnectReason;

/// The size of tungstenite's read buffer in bytes. tungstenite allocates it for each connection and clears it before each
/// read. It holds several chat messages; 1 and 4 KiB were not measurably faster, and an idle client costs that much more.
const READ_BUFFER_SIZE: usize = 1 << 9;

/// The reading side of a connection.
pub(super) struct MessageReader {
    websocket: WebSocket<ValidatedStream>,
    /// In a box, because most servers have no rate limit.
    rate_limiter: Option<Box<RateLimiter>>,
    /// The ping period, for reads whose timeout is the client's rate.
    ping: Option<Duration>,
    /// The reason why no message follows those that wait for the client's rate.
    end: Option<DisconnectReason>,
    /// The code in the client's Close, once that has arrived.
    peer_close_code: Option<u16>,
    /// A Ping is due.
    is_idle: bool,
}

impl MessageReader {
    /// Creates the reader. `already_read` holds the bytes received after the request's head.
    pub(super) fn new(
        outbound: &Outbound,
        mut already_read: Vec<u8>,
        is_echo: bool,
        config: &Config,
    ) -> MessageReader {
        let mut stream = ValidatedStream::new(outbound.clone(), is_echo);
        already_read.truncate(stream.validate(&already_read));
        let websocket_config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_SIZE)
            // The Outbound is the only write buffer, and gets whole frames at once.
            .write_buffer_size(0)
            .max_message_size(Some(config.max_message))
            .max_frame_size(Some(config.max_message));
        MessageReader {
            websocket: WebSocket::from_partially_read(
                stream,
                already_read,
                Role::Server,
                Some(websocket_config),
            ),
            rate_limiter: config.rate_limit.map(RateLimiter::new).map(Box::new),
            ping: config.ping,
            end: None,
            peer_close_code: None,
            is_idle: false,
        }
    }

    /// Returns the reply to the client's Close, once that has arrived.
    pub(super) fn take_close_reply(&mut self) -> Option<Bytes> {
        self.websocket.get_mut().close_reply.take()
    }

    /// Waits for the next message. Returns `None` if a Ping is due. With a rate limit, reads ahead until the message conforms
    /// to the client's rate.
    ///
    /// # Errors
    ///
    /// The reason why no message follows.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, DisconnectReason> {
        while !std::mem::take(&mut self.is_idle) {
            let read = match self.rate_limiter {
                Some(_) => self.read_at_rate(),
                None => self.read(),
            };
            // As it is: each copy of a message is a part of the stack.
            if !matches!(read, Ok(None)) {
                return read;
            }
        }
        Ok(None)
    }

    /// Returns the first queued message if it conforms to the rate, and reads ahead otherwise.
    #[inline(never)]
    fn read_at_rate(&mut self) -> Result<Option<Message>, DisconnectReason> {
        let Some(rate_limiter) = &mut self.rate_limiter else {
            return Ok(None);
        };
        // What was accepted before the end is passed on at once: the connection does not wait for it.
        if let Some(message) = rate_limiter.pop(self.end.is_some()) {
            return Ok(Some(message));
        }
        if let Some(reason) = &self.end {
            return Err(reason.clone());
        }
        if let Err(reason) = self.read_ahead() {
            if self.outbound().abort_reason().is_some() {
                return Err(reason);
            }
            self.end = Some(reason);
        }
        Ok(None)
    }

    /// Reads a message for the queue of the rate limiter, until the first queued message conforms to the rate. If the
    /// queue is full, only waits for the client's end, so that further input stays in the client's TCP window.
    fn read_ahead(&mut self) -> Result<(), DisconnectReason> {
        let ping_due = self.ping_due();
        let Some(rate_limiter) = &mut self.rate_limiter else {
            return Ok(());
        };
        let wait_until = rate_limiter.next_due().into_iter().chain(ping_due).min();
        let stream = self.websocket.get_mut();
        if rate_limiter.is_full() {
            let timeout = wait_until.map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(Instant::now())
            });
            if stream.outbound.stream().wait_for_end(timeout) {
                return Err(DisconnectReason::ConnectionLost(ErrorKind::UnexpectedEof));
            }
            // A Pong can be behind the unread input. The Ping is for the kernel, which gives up on a host that is down.
            stream.received_since_ping = true;
            return self.on_idle();
        }
        stream.limit_wait(wait_until);
        let Some(message) = self.read()? else {
            return Ok(());
        };
        if matches!(message, Message::Ping(_)) {
            // The next read would send the Pong, which is not due while the queue is full. An error recurs there.
            let _ = self.websocket.flush();
        }
        let frames = self.websocket.get_mut().take_frames();
        if let Some(rate_limiter) = &mut self.rate_limiter {
            rate_limiter.push(message, frames);
        }
        Ok(())
    }

    /// Waits for the next message, control frames included. Returns `None` after a Close or without input.
    fn read(&mut self) -> Result<Option<Message>, DisconnectReason> {
        match self.websocket.read() {
            Ok(Message::Close(frame)) => {
                self.peer_close_code = frame.map(|frame| frame.code.into());
                Ok(None)
            }
            Ok(message) => match self.outbound().abort_reason() {
                // A write found that the client has gone. What it sent before that has arrived, and can still be read. At a
                // limited rate that would take hours.
                Some(DisconnectReason::ConnectionLost(_)) if self.rate_limiter.is_none() => {
                    Ok(Some(message))
                }
                Some(reason) => Err(reason),
                None => Ok(Some(message)),
            },
            Err(error) => self.on_error(error).map(|()| None),
        }
    }

    /// Handles a read without a message: after the read timeout, or because there is no further one.
    #[inline(never)]
    fn on_error(&mut self, error: Error) -> Result<(), DisconnectReason> {
        if let Error::Io(error) = &error
            && is_timeout(error)
        {
            return self.on_idle();
        }
        Err(match self.websocket.get_mut().disconnect_reason(error) {
            DisconnectReason::ClosedByPeer(_) => {
                DisconnectReason::ClosedByPeer(self.peer_close_code)
            }
            reason => reason,
        })
    }

    /// Returns the end of the ping period.
    fn ping_due(&self) -> Option<Instant> {
        (self.websocket.get_ref().idle_since).checked_add(self.ping?)
    }

    /// Asks for a Ping after a ping period without input, and disconnects the client after another one, unless the Ping waits
    /// behind output: the write timeout or the kernel then notices whether the client takes any.
    fn on_idle(&mut self) -> Result<(), DisconnectReason> {
        if self.rate_limiter.is_some() {
            let now = Instant::now();
            if self.ping_due().is_none_or(|due| now < due) {
                return Ok(());
            }
            self.websocket.get_mut().idle_since = now;
        }
        let stream = self.websocket.get_mut();
        if stream.outbound.has_backlog() {
            // The last Ping may have left the server just before the next check.
            stream.received_since_ping = true;
            return Ok(());
        }
        if !std::mem::take(&mut stream.received_since_ping) {
            if !stream.outbound.stream().has_unacknowledged() {
                return Err(DisconnectReason::PingTimeout);
            }
            stream.received_since_ping = true;
            return Ok(());
        }
        self.is_idle = true;
        Ok(())
    }

    fn outbound(&self) -> &Outbound {
        &self.websocket.get_ref().outbound
    }
}
