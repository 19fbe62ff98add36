//! A blocking socket of TCP, or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};
use std::time::Duration;

/// A socket of one client. A `match` chooses the system call: it costs nothing that could be measured beside the call.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Calls the method of the same name, and converts nothing.
macro_rules! delegate {
    ($self:expr, $socket:ident => $call:expr) => {
        match $self {
            Socket::Tcp($socket) => $call,
            #[cfg(unix)]
            Socket::Unix($socket) => $call,
        }
    };
}

impl Socket {
    pub(super) fn try_clone(&self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone()?),
            #[cfg(unix)]
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
        })
    }

    /// Returns whether the socket has the options of TCP.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Socket::Tcp(_))
    }

    /// Sends small writes at once. A Unix socket does so anyway.
    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_nodelay(true),
            #[cfg(unix)]
            Socket::Unix(_) => Ok(()),
        }
    }

    /// Reads without taking the bytes.
    #[cfg(feature = "tls")]
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.peek(buffer),
            #[cfg(unix)]
            Socket::Unix(socket) => {
                use rustix::net::{RecvFlags, recv};
                Ok(recv(socket, buffer, RecvFlags::PEEK)?.0)
            }
        }
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        delegate!(self, socket => socket.set_read_timeout(timeout))
    }

    #[cfg(feature = "tls")]
    pub(super) fn read_timeout(&self) -> io::Result<Option<Duration>> {
        delegate!(self, socket => socket.read_timeout())
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        delegate!(self, socket => socket.set_write_timeout(timeout))
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        delegate!(self, socket => socket.shutdown(how))
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        delegate!(self, socket => (&*socket).read(buffer))
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        delegate!(self, socket => (&*socket).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        delegate!(self, socket => socket.as_fd())
    }
}

#[cfg(windows)]
impl AsSocket for Socket {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        delegate!(self, socket => socket.as_socket())
    }
}

/// Returns a new socket, which programs started by this one do not inherit.
#[cfg(unix)]
pub(super) fn new_socket(family: rustix::net::AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, rustix::net::SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}
