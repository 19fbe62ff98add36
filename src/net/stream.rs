//! The socket of one client, with TLS or without.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::config::{ORPHAN_TIMEOUT, SEND_BUFFER_SIZE};

/// A blocking socket. All reads, writes and shutdowns of a client's socket go through this type.
pub struct Stream {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    /// The TLS connection, which all handles of the socket share.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<Tls>>,
}

impl Stream {
    /// Creates a handle of a socket without TLS.
    pub fn new(socket: TcpStream, peer: SocketAddr) -> Stream {
        Stream::plain(Socket::Tcp(socket), Peer::Tcp(peer))
    }

    /// Creates a handle of a Unix socket.
    #[cfg(unix)]
    pub(crate) fn unix(socket: UnixStream) -> Stream {
        Stream::plain(Socket::Unix(socket), Peer::Unix(None))
    }

    pub(super) fn plain(socket: Socket, peer: Peer) -> Stream {
        Stream {
            socket,
            peer,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Returns a second handle of the same socket, with the client's address behind a proxy. The outbound channel holds one
    /// in place: a pointer to a shared stream cost 6 % more CPU time per delivery with 1000 clients, because each send then
    /// misses the cache once more.
    ///
    /// # Errors
    ///
    /// The process has no further descriptor.
    pub fn try_clone(&self, peer: Peer) -> io::Result<Stream> {
        Ok(Stream {
            socket: self.socket.try_clone()?,
            peer,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        })
    }

    /// Returns the client's address.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Sends small frames at once instead of waiting for an acknowledgement of earlier ones.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay()
    }

    /// Limits each wait for input. `None` waits without a limit.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// Limits each wait for room in the socket's buffer.
    ///
    /// # Errors
    ///
    /// The timeout is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    /// Bounds the kernel's memory for output that the client has not acknowledged. Without a size, Linux lets the buffer
    /// grow to megabytes.
    pub(crate) fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_send_buffer_size(
            &self.socket,
            bytes,
        )?)
    }

    /// Limits the time in which the client acknowledges nothing of the output, or keeps its window closed (RFC 5482). The
    /// kernel then resets the connection, even after the server has closed the socket. Unix sockets have no such limit: what
    /// was written is the other program's.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_acknowledge_timeout(&self, timeout: Duration) -> io::Result<()> {
        if !self.socket.is_tcp() {
            return Ok(());
        }
        let millis = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        Ok(rustix::net::sockopt::set_tcp_user_timeout(
            &self.socket,
            millis,
        )?)
    }

    /// Leaves the time to the system, which has no such option.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn set_acknowledge_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether more output than a few small frames waits for the client's acknowledgement.
    ///
    /// Linux has a number for it, but no safe interface: a socket is writable if two thirds of its send buffer at most
    /// are in use, so a socket that is not writable with the smallest buffer (4.5 KiB) holds more than 3 KiB. A thread
    /// that writes in between finds the buffer full and leaves the rest to a writer thread, which the larger size wakes.
    ///
    /// On a Unix socket nothing ends what waits forever but the Ping, so this reports none.
    #[cfg(target_os = "linux")]
    pub(crate) fn has_unacknowledged(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if !self.socket.is_tcp() || self.set_send_buffer_size(0).is_err() {
            return false;
        }
        let mut writable = [PollFd::new(&self.socket, PollFlags::OUT)];
        let ready = poll(&mut writable, Some(&Timespec::default()));
        // An error means that the connection keeps its smallest buffer: it becomes slower, not wrong.
        let _ = self.set_send_buffer_size(SEND_BUFFER_SIZE);
        ready == Ok(0)
    }

    /// Reports none, as the system has no way to find out.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn has_unacknowledged(&self) -> bool {
        false
    }

    /// Waits for input and returns the number of bytes read, 0 at the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` after the read timeout, or the connection's error.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer, || {
            // An error shows with the next read, too.
            let _ = self.write_all(&[]);
        })
    }

    /// Waits for input and returns the number of bytes read, 0 at the end. With TLS, calls `send_output` whenever a write is
    /// due that carries no bytes, for what TLS has to send because of what was read.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` after the read timeout, or the connection's error. With TLS also `InvalidData` with a
    /// [`rustls::Error`] inside, or `UnexpectedEof` if the connection ended without `close_notify`.
    pub fn read_with(&self, buffer: &mut [u8], send_output: impl Fn()) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.read_tls(tls, buffer, send_output);
        }
        let _ = send_output;
        self.read_socket(buffer)
    }

    /// Waits for input and returns the number of bytes read, 0 at the end. With TLS, reads records as they are.
    pub(super) fn read_socket(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).read(buffer) {
                // Signals end a read that has a timeout, even where system calls are restarted.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Waits until the client ends the connection, and leaves input unread. Returns whether it did so within `timeout`.
    #[cfg(unix)]
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        // Without RDHUP, a FIN shows only after all input. Errors and resets show on all systems.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let events = PollFlags::RDHUP;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let events = PollFlags::empty();
        let mut sockets = [PollFd::new(&self.socket, events)];
        let timeout = Timespec::try_from(timeout).ok();
        poll(&mut sockets, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Waits for the timeout alone: the standard library cannot look for the end behind unread input.
    #[cfg(not(unix))]
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        std::thread::sleep(timeout);
        false
    }

    /// Waits for room and returns the number of bytes written. With TLS, writes records as they are: see
    /// [`seal`](Self::seal).
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` after the write timeout, or the connection's error.
    pub(crate) fn write_blocking(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Linux wakes the thread only when a third of the buffer is free. A slow line needs longer for that than
                // the timeout, but has made room for something.
                Err(error) if is_timeout(&error) => return self.write_nonblocking(bytes),
                result => return result,
            }
        }
    }

    /// Writes what fits into the socket's buffer and returns the number of bytes. Never waits. With TLS, writes records as
    /// they are: see [`seal`](Self::seal).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the buffer is full, or the connection's error.
    #[cfg(unix)]
    pub(crate) fn write_nonblocking(&self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::SendFlags;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::send(&self.socket, bytes, flags)
        })?)
    }

    /// Reports a full buffer, so that a writer thread writes every frame: a blocking socket has no other send.
    #[cfg(not(unix))]
    pub(crate) fn write_nonblocking(&self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    /// Returns whether bytes must be sealed before they are written.
    pub(crate) fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Appends the bytes to `records` as TLS records, as many as are sealed at once, after what TLS has to send. Returns their
    /// number, 0 without TLS. Records must be written in the order in which they were sealed.
    pub(crate) fn seal(&self, bytes: &[u8], records: &mut Vec<u8>) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.seal(bytes, records);
        }
        let _ = (bytes, records);
        Ok(0)
    }

    /// Appends the notice of the end of TLS to `records`, after which nothing can be sealed.
    pub(crate) fn seal_close(&self, records: &mut Vec<u8>) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.seal_close(records);
        }
        let _ = records;
        Ok(())
    }

    /// Writes all of `bytes`, waiting for room up to the write timeout each time. With TLS, seals them.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` after the write timeout, or the connection's error.
    pub fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.is_encrypted() {
            return (&self.socket).write_all(bytes);
        }
        let mut records = Vec::new();
        loop {
            let sealed = self.seal(bytes, &mut records)?;
            (&self.socket).write_all(&records)?;
            bytes = &bytes[sealed..];
            if bytes.is_empty() {
                return Ok(());
            }
            records.clear();
        }
    }

    /// Writes as much as fits at once, for a client without a thread, and ends the sending direction. A client that expects a
    /// TLS handshake gets the end only.
    pub(crate) fn write_last_nonblocking(&self, bytes: &[u8]) {
        let bytes = if self.is_encrypted() { &[] } else { bytes };
        // An error means that the client does not get the bytes. It is disconnected either way.
        let _ = self.write_nonblocking(bytes);
        self.shutdown_write();
    }

    /// Sends a FIN after all written bytes, with TLS after `close_notify` if there is room. The socket can still be read.
    pub(crate) fn shutdown_write(&self) {
        let mut records = Vec::new();
        if self.seal_close(&mut records).is_ok() && !records.is_empty() {
            // An error means that the client does not get the notice of an end that it notices anyway.
            let _ = self.write_nonblocking(&records);
        }
        // An error means that the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends both directions. The kernel still sends the written bytes, as long as the client acknowledges some every few
    /// seconds. A thread that waits for this socket returns.
    pub fn shutdown(&self) {
        // An error means that the kernel waits for longer.
        let _ = self.set_acknowledge_timeout(ORPHAN_TIMEOUT);
        // An error means that the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Ends both directions and discards the written bytes that the kernel has not sent, by a reset (RFC 9293, section
    /// 3.10.5). Otherwise the kernel would keep megabytes for a client that never reads, long after the session was removed.
    pub(crate) fn abort(&self) {
        // An error means that the connection has ended already.
        let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        self.shutdown();
    }

    /// Reads and discards input until the client closes. Returns whether it did so within `timeout`.
    ///
    /// Closing a socket with unread input sends a reset, which can overtake bytes that were written before.
    pub(crate) fn lingering_close(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut discarded = [0; 1024];
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() || self.set_read_timeout(Some(remaining)).is_err() {
                return false;
            }
            // With TLS, records: their contents do not matter, and what TLS has to send now would follow its last record.
            match self.read_socket(&mut discarded) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Returns whether an error is a timeout of a blocking socket. Systems report it by one of two kinds.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
