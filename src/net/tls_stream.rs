//! The parts of [`Stream`] for TLS: handshakes, and reading.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use rustls::{ClientConfig, pki_types::ServerName};

use super::stream::Stream;
use super::tls::Tls;

/// The size of a read during the handshake of TLS, in bytes.
const HANDSHAKE_READ_SIZE: usize = 1 << 10;

impl Stream {
    /// Creates a handle of a socket for a client that begins with a TLS handshake.
    pub(crate) fn with_tls(self, tls: Tls) -> Stream {
        Stream {
            tls: Some(Arc::new(tls)),
            ..self
        }
    }

    /// Completes the client's side of a TLS handshake with a server of this name. Waits for the server until the deadline.
    ///
    /// # Errors
    ///
    /// `TimedOut` at the deadline, `UnexpectedEof` at the end of the connection, `InvalidData` with a [`rustls::Error`]
    /// inside, or the connection's error.
    pub fn with_tls_client(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<Stream> {
        let stream = self.with_tls(Tls::client(config, name)?);
        stream.complete_handshake(deadline)?;
        Ok(stream)
    }

    /// Returns a handle of the same socket without TLS.
    pub(crate) fn try_clone_plain(&self) -> io::Result<Stream> {
        Ok(Stream::plain(self.socket.try_clone()?, self.peer))
    }

    /// Waits for the first byte until the deadline, leaves it unread, and returns it. Returns `None` at the end of the
    /// connection.
    pub(crate) fn peek(&self, deadline: Instant) -> io::Result<Option<u8>> {
        let mut first = [0];
        self.limit_read(deadline)?;
        loop {
            match self.socket.peek(&mut first) {
                // Signals end a wait that has a timeout.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Ok((result? > 0).then_some(first[0])),
            }
        }
    }

    /// Limits the next wait for input to the time until the deadline.
    fn limit_read(&self, deadline: Instant) -> io::Result<()> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.set_read_timeout(Some(remaining))
    }

    /// Completes the TLS handshake. Waits for the other side until the deadline.
    ///
    /// # Errors
    ///
    /// `TimedOut` at the deadline, `UnexpectedEof` at the end of the connection, `InvalidData` with a [`rustls::Error`]
    /// inside, or the connection's error.
    pub(crate) fn complete_handshake(&self, deadline: Instant) -> io::Result<()> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        let mut records = [0; HANDSHAKE_READ_SIZE];
        let mut received = 0;
        loop {
            let complete = tls.handshake(&records[..received]);
            self.write_all(&[])?;
            if complete? {
                return Ok(());
            }
            self.limit_read(deadline)?;
            received = match self.read_socket(&mut records) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                result => result?,
            };
        }
    }

    #[inline(never)]
    pub(super) fn read_tls(
        &self,
        tls: &Tls,
        buffer: &mut [u8],
        send_output: impl Fn(),
    ) -> io::Result<usize> {
        let start = Instant::now();
        let mut has_read = false;
        loop {
            let opened = tls.open(buffer);
            if tls.has_output() {
                send_output();
            }
            if let Some(bytes) = opened? {
                return Ok(bytes);
            }
            // The records go through the buffer of the plaintext: one more on the stack would be one more page.
            let received = if std::mem::replace(&mut has_read, true) {
                self.read_more(buffer, start)?
            } else {
                self.read_socket(buffer)?
            };
            tls.receive(&buffer[..received])?;
        }
    }

    /// Reads the next part of a record. The read timeout goes on from `start`: a part is no end of the wait, and no reason
    /// to wait for longer.
    #[cfg(unix)]
    #[inline(never)]
    fn read_more(&self, buffer: &mut [u8], start: Instant) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::io::{Errno, retry_on_intr};
        use rustix::net::{RecvFlags, recv};
        loop {
            match retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)) {
                Err(Errno::WOULDBLOCK) => {}
                received => return Ok(received?.0),
            }
            let timeout = self.socket.read_timeout()?;
            let remaining = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let remaining = remaining.and_then(|remaining| Timespec::try_from(remaining).ok());
            let mut input = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut input, remaining.as_ref()) {
                Ok(0) => return Err(ErrorKind::WouldBlock.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the next part of a record. A wait that begins within the read timeout from `start` has that timeout again.
    #[cfg(not(unix))]
    fn read_more(&self, buffer: &mut [u8], start: Instant) -> io::Result<usize> {
        let timeout = self.socket.read_timeout()?;
        if timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.read_socket(buffer)
    }
}
