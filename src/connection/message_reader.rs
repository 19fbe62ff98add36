//! Reading messages from one client.

use std::io::ErrorKind;

use tungstenite::error::Error;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Bytes, Message};

use super::rate_limiter::RateLimiter;
use super::stream::ValidatedStream;
use crate::config::Config;
use crate::outbound::Outbound;
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::frame;

/// The size of tungstenite's read buffer in bytes. tungstenite allocates it for each connection and clears it before each
/// read. It holds several chat messages; 4 KiB were not measurably faster, and an idle client cost 3 KB more.
const READ_BUFFER_SIZE: usize = 1 << 10;

/// The reading side of a connection.
pub(super) struct MessageReader {
    websocket: WebSocket<ValidatedStream>,
    rate_limiter: Option<RateLimiter>,
    /// The code in the client's Close, once that has arrived.
    peer_close_code: Option<u16>,
}

impl MessageReader {
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
            rate_limiter: config.rate_limit.map(RateLimiter::new),
            peer_close_code: None,
        }
    }

    /// Returns the reply to the client's Close, once that has arrived.
    pub(super) fn take_close_reply(&mut self) -> Option<Bytes> {
        self.websocket.get_mut().close_reply.take()
    }

    /// Waits for the next message, and then for the client's rate.
    ///
    /// # Errors
    ///
    /// The reason why no message follows.
    pub(super) fn next_message(&mut self) -> Result<Message, DisconnectReason> {
        loop {
            match self.websocket.read() {
                Ok(Message::Close(frame)) => {
                    self.peer_close_code = frame.map(|frame| frame.code.into());
                }
                Ok(message) => {
                    // Input from before an abort can still be read, which would take hours at the client's rate.
                    if let Some(reason) = self.outbound().abort_reason() {
                        return Err(reason);
                    }
                    if let Some(rate_limiter) = &mut self.rate_limiter {
                        rate_limiter.throttle();
                    }
                    return Ok(message);
                }
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.on_idle()?;
                }
                Err(error) => {
                    return Err(match self.websocket.get_mut().disconnect_reason(error) {
                        DisconnectReason::ClosedByPeer(_) => {
                            DisconnectReason::ClosedByPeer(self.peer_close_code)
                        }
                        reason => reason,
                    });
                }
            }
        }
    }

    /// Sends a Ping after a ping period without input, and disconnects the client after another one, unless the Ping waits
    /// behind output: the write timeout or the kernel then notices whether the client takes any.
    fn on_idle(&mut self) -> Result<(), DisconnectReason> {
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
        self.outbound().send(frame::ping());
        Ok(())
    }

    fn outbound(&self) -> &Outbound {
        &self.websocket.get_ref().outbound
    }
}
