//! The end of the waits for clients.

use std::io;
#[cfg(not(unix))]
use std::net::TcpStream;
#[cfg(unix)]
use std::os::{fd::AsFd, unix::net::UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(unix))]
use std::time::Duration;

use crate::config::ListenAddress;

/// The time for the local connection that wakes an acceptor.
#[cfg(not(unix))]
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);

/// Ends the waits for clients of all listeners of a server, once.
pub(crate) struct Waker {
    is_woken: AtomicBool,
    /// A pair of sockets. The end of one is an event for all that wait for it. `shutdown` of a listening socket would end it for
    /// other processes, too, that have inherited it.
    #[cfg(unix)]
    ends: (UnixStream, UnixStream),
    #[cfg(not(unix))]
    addresses: Vec<ListenAddress>,
}

impl Waker {
    /// Creates a waker for the listeners of these addresses.
    ///
    /// # Errors
    ///
    /// The process has no further descriptors.
    pub(crate) fn new<'a>(addresses: impl Iterator<Item = &'a ListenAddress>) -> io::Result<Waker> {
        #[cfg(unix)]
        let _ = addresses;
        Ok(Waker {
            is_woken: AtomicBool::new(false),
            #[cfg(unix)]
            ends: UnixStream::pair()?,
            #[cfg(not(unix))]
            addresses: addresses.cloned().collect(),
        })
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::SeqCst)
    }

    /// Ends all current and later waits.
    pub(crate) fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        // An error means that the other end has been closed already.
        #[cfg(unix)]
        let _ = self.ends.0.shutdown(std::net::Shutdown::Both);
        // The acceptor drops these connections.
        #[cfg(not(unix))]
        for address in &self.addresses {
            let ListenAddress::Tcp(address) = address else {
                continue;
            };
            let _ = TcpStream::connect_timeout(address, WAKE_TIMEOUT);
        }
    }

    /// Waits until the listener has a client or the waker is woken.
    #[cfg(unix)]
    pub(super) fn wait_for_client(&self, listener: &impl AsFd) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        use rustix::io::retry_on_intr;
        let mut events = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(&self.ends.1, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut events, None))?;
        Ok(())
    }
}
