//! TLS for one socket, by rustls. Computes only: whoever owns the socket reads and writes it.
//!
//! A rustls connection has no halves for reading and writing, so the threads of a client share one behind a lock. The lock
//! is held for computing and never during a system call: a thread that waits in read(2) keeps no other from writing.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// The most plaintext that is sealed at once, in bytes. What the socket does not accept of it is kept for each client.
pub(crate) const MAX_SEALED: usize = 64 << 10;

/// The state of one TLS connection.
pub(crate) struct Tls(Mutex<State>);

struct State {
    connection: Connection,
    /// Received bytes that rustls has not processed, because plaintext before them has to be read first. Mostly empty.
    unprocessed: Vec<u8>,
}

impl State {
    /// Processes some of the unprocessed bytes. Returns false if there are none.
    fn process(&mut self) -> io::Result<bool> {
        let mut rest = self.unprocessed.as_slice();
        // After `close_notify` rustls processes nothing.
        if rest.is_empty() || self.connection.read_tls(&mut rest)? == 0 {
            // Frees the memory of a client that is idle now.
            self.unprocessed = Vec::new();
            // An error means that there was no input.
            let _ = self.connection.read_tls(&mut NoInput);
            return Ok(false);
        }
        let processed = self.unprocessed.len() - rest.len();
        self.unprocessed.drain(..processed);
        self.connection
            .process_new_packets()
            .map_err(invalid_data)?;
        Ok(true)
    }
}

/// A reader without input. Before each read rustls shrinks its buffer, which is as large as the largest record so far.
struct NoInput;

impl Read for NoInput {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Tls {
    /// Creates the server's side of a connection.
    pub(crate) fn server(config: Arc<ServerConfig>) -> io::Result<Tls> {
        let connection = ServerConnection::new(config).map_err(invalid_data)?;
        Ok(Tls::new(connection.into()))
    }

    /// Creates the client's side of a connection to a server of this name.
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Tls> {
        let connection = ClientConnection::new(config, name).map_err(invalid_data)?;
        Ok(Tls::new(connection.into()))
    }

    fn new(mut connection: Connection) -> Tls {
        connection.set_buffer_limit(Some(MAX_SEALED));
        Tls(Mutex::new(State {
            connection,
            unprocessed: Vec::new(),
        }))
    }

    /// A panic in rustls ends the connection's thread, which ends the connection.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes input of the handshake. Returns whether the handshake is complete.
    ///
    /// # Errors
    ///
    /// `InvalidData` with a [`rustls::Error`] inside. There can be an alert to send.
    pub(crate) fn handshake(&self, input: &[u8]) -> io::Result<bool> {
        let state = &mut *self.lock();
        state.unprocessed.extend_from_slice(input);
        while state.connection.is_handshaking() {
            if !state.process()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether rustls has records to send: replies of the handshake, alerts, key updates.
    pub(crate) fn has_output(&self) -> bool {
        self.lock().connection.wants_write()
    }

    /// Takes bytes that were read from the socket, none at the end of the connection.
    pub(crate) fn receive(&self, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.lock();
        state.unprocessed.extend_from_slice(bytes);
        if bytes.is_empty() {
            state.connection.read_tls(&mut io::empty())?;
        }
        Ok(())
    }

    /// Copies plaintext to `plaintext`. Returns the number of bytes, 0 after the peer's `close_notify`, or `None` if more has
    /// to be received.
    ///
    /// # Errors
    ///
    /// `InvalidData` with a [`rustls::Error`] inside if the peer violates TLS, or `UnexpectedEof` if the peer ended the
    /// connection without `close_notify`.
    // A frame of its own would take a thread that opens a Pong close to a third page of stack.
    #[inline(always)]
    pub(crate) fn open(&self, plaintext: &mut [u8]) -> io::Result<Option<usize>> {
        let state = &mut *self.lock();
        loop {
            // Plaintext is taken before more input is processed, so rustls never holds more than some KiB of it.
            match state.connection.reader().read(plaintext) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result.map(Some),
            }
            if !state.process()? {
                return Ok(None);
            }
        }
    }

    /// Appends records to `sealed`: what rustls has to send, then up to [`MAX_SEALED`] bytes of `plaintext`. Returns the
    /// number of bytes of `plaintext` that they hold. After an error of the peer the last record is an alert: `plaintext`
    /// is discarded, and the thread that reads ends the connection.
    pub(crate) fn seal(&self, plaintext: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        let connection = &mut self.lock().connection;
        // Fails only after an error of the peer, even without bytes.
        let taken = connection.writer().write(plaintext);
        write_records(connection, sealed)?;
        Ok(taken.unwrap_or(plaintext.len()))
    }

    /// Appends `close_notify` to `sealed`, which is the last record. Does nothing if it was sealed before.
    pub(crate) fn seal_close(&self, sealed: &mut Vec<u8>) -> io::Result<()> {
        let connection = &mut self.lock().connection;
        connection.send_close_notify();
        write_records(connection, sealed)
    }
}

fn write_records(connection: &mut Connection, sealed: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(sealed)?;
    }
    Ok(())
}

fn invalid_data(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
