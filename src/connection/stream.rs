//! The byte stream between tungstenite and the client.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::{Bytes, Error};

use crate::outbound::Outbound;
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::validator::FrameValidator;

/// The stream that tungstenite reads and writes: input passes a [`FrameValidator`], output goes to the [`Outbound`].
pub(super) struct ValidatedStream {
    pub(super) outbound: Outbound,
    /// Whether a byte arrived since the last Ping. The handshake counts.
    pub(super) received_since_ping: bool,
    /// The time of the last input, or of the last Ping. Only current with a rate limit.
    pub(super) idle_since: Instant,
    /// With a rate limit: the time at which a wait for input ends, and whether a read has been tried since it was set.
    wait_limit: Option<(Option<Instant>, bool)>,
    /// The reply to the client's Close, once that has arrived.
    pub(super) close_reply: Option<Bytes>,
    is_echo: bool,
    validator: FrameValidator,
    /// The violation to report when the valid bytes before it have been read.
    violation: Option<DisconnectReason>,
}

impl ValidatedStream {
    pub(super) fn new(outbound: Outbound, is_echo: bool) -> ValidatedStream {
        ValidatedStream {
            outbound,
            received_since_ping: true,
            idle_since: Instant::now(),
            wait_limit: None,
            close_reply: None,
            is_echo,
            validator: FrameValidator::default(),
            violation: None,
        }
    }

    /// Limits the next waits for input to this time altogether, in place of the socket's read timeout. The first one reads
    /// what has arrived already.
    pub(super) fn limit_wait(&mut self, until: Option<Instant>) {
        self.wait_limit = Some((until, false));
    }

    /// Returns the number of frames since the last call.
    pub(super) fn take_frames(&mut self) -> u32 {
        self.validator.take_frames()
    }

    fn set_read_timeout(&mut self) -> io::Result<()> {
        let Some((until, has_read)) = &mut self.wait_limit else {
            return Ok(());
        };
        let remaining = until.map(|until| until.saturating_duration_since(Instant::now()));
        if std::mem::replace(has_read, true) && remaining == Some(Duration::ZERO) {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A timeout of zero is invalid.
        let timeout = remaining.map(|remaining| remaining.max(Duration::from_millis(1)));
        self.outbound.stream().set_read_timeout(timeout)
    }

    /// Returns the number of bytes before the first invalid one, and keeps the violation for the next read.
    pub(super) fn validate(&mut self, bytes: &[u8]) -> usize {
        match self.validator.validate(bytes) {
            Ok(()) => bytes.len(),
            Err((valid, violation)) => {
                self.violation = Some(violation);
                valid
            }
        }
    }

    /// Translates a failed read. Returns the violation if that caused the error.
    pub(super) fn disconnect_reason(&mut self, error: Error) -> DisconnectReason {
        match (&error, self.violation.take()) {
            (Error::Io(io), Some(violation)) if io.kind() == ErrorKind::InvalidData => violation,
            _ => error.into(),
        }
    }
}

impl Read for ValidatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.violation.is_some() {
                return Err(ErrorKind::InvalidData.into());
            }
            self.set_read_timeout()?;
            let received = self.outbound.read(buffer)?;
            if received == 0 {
                return Ok(0);
            }
            self.received_since_ping = true;
            if self.wait_limit.is_some() {
                self.idle_since = Instant::now();
            }
            // Frames before the invalid one still count, so the next read reports the violation.
            match self.validate(&buffer[..received]) {
                0 => {}
                valid => return Ok(valid),
            }
        }
    }
}

/// tungstenite itself writes Pongs and the reply to a Close, each frame in one write. The reply is kept for the end of the
/// connection: earlier messages of this client are still on their way back to it through the dispatcher.
impl Write for ValidatedStream {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        const CLOSE: u8 = 0x88;
        let bytes = Bytes::copy_from_slice(frame);
        match frame.first() {
            Some(&CLOSE) => self.close_reply = Some(bytes),
            _ if self.is_echo => self.outbound.send_blocking(bytes),
            _ => self.outbound.send(bytes),
        }
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
