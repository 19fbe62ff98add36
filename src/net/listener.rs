//! The sockets that clients connect to.

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::Path;

#[cfg(unix)]
use super::socket::new_socket;
#[cfg(unix)]
use super::socket_file::SocketFile;
use super::stream::Stream;
use super::waker::Waker;
use crate::config::ListenAddress;

enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// A socket that listens for clients.
///
/// On Unix systems it does not block: with a blocking one that several processes have, one of them could wait in accept(2) for a
/// client that another has taken, and miss the end of its own wait.
pub struct Listener {
    address: ListenAddress,
    /// The file of a Unix socket that this process has created. Dropped first: while the socket is open, no other file has the
    /// inode of this one.
    #[cfg(unix)]
    _file: Option<SocketFile>,
    socket: Socket,
}

impl Listener {
    /// Listens on an address of the list `all`. `backlog` clients can wait to be accepted.
    ///
    /// # Errors
    ///
    /// The address is not available.
    pub(crate) fn bind(
        address: &ListenAddress,
        all: &[ListenAddress],
        backlog: u32,
    ) -> io::Result<Listener> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match address {
            ListenAddress::Tcp(tcp) => {
                bind_tcp(*tcp, address.is_ipv6_only_among(all), backlog)?.try_into()
            }
            ListenAddress::Unix(path) => Listener::bind_unix(path, backlog),
        }
    }

    #[cfg(unix)]
    fn bind_unix(path: &Path, backlog: i32) -> io::Result<Listener> {
        let (file, socket) = SocketFile::bind(path, backlog)?;
        let listener = Listener::try_from(socket)?;
        Ok(Listener {
            _file: Some(file),
            ..listener
        })
    }

    #[cfg(not(unix))]
    fn bind_unix(_: &Path, _: i32) -> io::Result<Listener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the address, with the actual port if port 0 was asked for.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Waits for the next client. Returns `None` when the waker is woken. A client that is accepted is returned, even if it is
    /// woken at that moment.
    ///
    /// # Errors
    ///
    /// The error of accept(2).
    #[cfg(unix)]
    pub(crate) fn accept(&self, waker: &Waker) -> io::Result<Option<Stream>> {
        while !waker.is_woken() {
            let accepted = match &self.socket {
                Socket::Tcp(socket) => accept_tcp(socket),
                Socket::Unix(socket) => accept_unix(socket),
            };
            match accepted {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match &self.socket {
                    Socket::Tcp(socket) => waker.wait_for_client(socket)?,
                    Socket::Unix(socket) => waker.wait_for_client(socket)?,
                },
                accepted => return accepted.map(Some),
            }
        }
        Ok(None)
    }

    /// Waits for the next client. Returns `None` when the waker is woken.
    #[cfg(not(unix))]
    pub(crate) fn accept(&self, waker: &Waker) -> io::Result<Option<Stream>> {
        let Socket::Tcp(socket) = &self.socket;
        let (socket, peer) = socket.accept()?;
        Ok((!waker.is_woken()).then(|| Stream::new(socket, peer)))
    }
}

/// Listens already, such as a socket that a service manager has passed on.
impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(socket: TcpListener) -> io::Result<Listener> {
        #[cfg(unix)]
        socket.set_nonblocking(true)?;
        Ok(Listener {
            address: ListenAddress::Tcp(socket.local_addr()?),
            #[cfg(unix)]
            _file: None,
            socket: Socket::Tcp(socket),
        })
    }
}

/// Listens already, such as a socket that a service manager has passed on. Its file is left in its place.
#[cfg(unix)]
impl TryFrom<UnixListener> for Listener {
    type Error = io::Error;

    fn try_from(socket: UnixListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
        Ok(Listener {
            address: ListenAddress::Unix(path.unwrap_or_default()),
            _file: None,
            socket: Socket::Unix(socket),
        })
    }
}

#[cfg(unix)]
fn accept_tcp(socket: &TcpListener) -> io::Result<Stream> {
    let (socket, peer) = socket.accept()?;
    if !cfg!(target_os = "linux") {
        // Other systems let it inherit that the listening socket does not block.
        socket.set_nonblocking(false)?;
    }
    Ok(Stream::new(socket, peer))
}

#[cfg(unix)]
fn accept_unix(socket: &UnixListener) -> io::Result<Stream> {
    let (socket, _) = socket.accept()?;
    if !cfg!(target_os = "linux") {
        socket.set_nonblocking(false)?;
    }
    Ok(Stream::unix(socket))
}

/// Listens on an address of TCP. The standard library listens with 128: of a crowd that connects at once, the others would repeat
/// their SYN after one second and more. It also has no way to leave IPv4 to another socket.
#[cfg(unix)]
fn bind_tcp(address: SocketAddr, is_ipv6_only: bool, backlog: i32) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, bind, listen, sockopt};
    let socket = match address {
        SocketAddr::V4(_) => new_socket(AddressFamily::INET),
        SocketAddr::V6(_) => new_socket(AddressFamily::INET6),
    }?;
    // Connections of a server before this one can still be closing.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if is_ipv6_only {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(socket.into())
}

/// Listens on an address of TCP. Other systems leave IPv4 to other sockets by default.
#[cfg(not(unix))]
fn bind_tcp(address: SocketAddr, _: bool, backlog: i32) -> io::Result<TcpListener> {
    let socket = TcpListener::bind(address)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}
