//! The socket of one client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::config::{ORPHAN_TIMEOUT, SEND_BUFFER_SIZE};

/// A blocking socket. All reads, writes and shutdowns of a client's socket go through this type.
pub(crate) struct Stream {
    socket: TcpStream,
    peer: SocketAddr,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, peer: SocketAddr) -> Stream {
        Stream { socket, peer }
    }

    /// Returns a second handle of the same socket, with the client's address behind a proxy. The outbound channel holds one
    /// in place: a pointer to a shared stream cost 6 % more CPU time per delivery with 1000 clients, because each send then
    /// misses the cache once more.
    pub(crate) fn try_clone(&self, peer: SocketAddr) -> io::Result<Stream> {
        Ok(Stream::new(self.socket.try_clone()?, peer))
    }

    /// Returns the client's address. Behind a proxy the port is that of the proxy's connection, because the client's own is
    /// not known.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends small frames at once instead of waiting for an acknowledgement of earlier ones.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay(true)
    }

    /// Limits each wait for input. `None` waits without a limit.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// Limits each wait for room in the socket's buffer.
    pub(crate) fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(timeout))
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
    /// kernel then resets the connection, even after the server has closed the socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_acknowledge_timeout(&self, timeout: Duration) -> io::Result<()> {
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
    #[cfg(target_os = "linux")]
    pub(crate) fn has_unacknowledged(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if self.set_send_buffer_size(0).is_err() {
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

    /// Waits for room and returns the number of bytes written.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` after the write timeout, or the connection's error.
    pub(crate) fn write_blocking(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes what fits into the socket's buffer and returns the number of bytes. Never waits.
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

    /// Writes all of `bytes`, waiting for room up to the write timeout each time.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(bytes)
    }

    /// Writes as much as fits at once, for a client without a thread, and ends the sending direction.
    pub(crate) fn write_last_nonblocking(&self, bytes: &[u8]) {
        // An error means that the client does not get the bytes. It is disconnected either way.
        let _ = self.write_nonblocking(bytes);
        self.shutdown_write();
    }

    /// Sends a FIN after all written bytes. The socket can still be read.
    pub(crate) fn shutdown_write(&self) {
        // An error means that the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends both directions. The kernel still sends the written bytes, as long as the client acknowledges some every few
    /// seconds. A thread that waits for this socket returns.
    pub(crate) fn shutdown(&self) {
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
            match self.read(&mut discarded) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}
