//! Many clients served by one thread, so that the server uses up the machine before its load does.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::connection::Connection;
use crate::frame;

/// Size of the buffer for one read: several of the server's batches.
const READ_BUFFER_SIZE: usize = 256 << 10;

/// Events returned by one `epoll_wait`.
const MAX_EVENTS: usize = 1024;

struct PooledClient {
    connection: Connection,
    /// The epoll also reports when the socket becomes writable.
    wants_write: bool,
}

/// Clients identified by their slots.
pub struct ClientPool {
    epoll: OwnedFd,
    slots: Vec<Option<PooledClient>>,
    free_slots: Vec<usize>,
    read_buffer: Vec<u8>,
    events: Vec<MaybeUninit<epoll::Event>>,
}

impl ClientPool {
    pub fn new() -> io::Result<ClientPool> {
        Ok(ClientPool {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            slots: Vec::new(),
            free_slots: Vec::new(),
            read_buffer: vec![0; READ_BUFFER_SIZE],
            events: vec![MaybeUninit::uninit(); MAX_EVENTS],
        })
    }

    /// Adds a client and returns its slot. The slot is reused after the client has been removed.
    pub fn add(&mut self, connection: Connection) -> io::Result<usize> {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let data = epoll::EventData::new_u64(slot as u64);
        let wants_write = !connection.unsent.is_empty();
        epoll::add(&self.epoll, &connection.socket, data, interest(wants_write))?;
        self.slots[slot] = Some(PooledClient {
            connection,
            wants_write,
        });
        Ok(slot)
    }

    /// Returns the number of clients.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free_slots.len()
    }

    /// Waits at most `timeout` and fills `ready` with the slots of the clients whose socket is readable, or writable
    /// while bytes are unsent.
    pub fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        ready.clear();
        match epoll::wait(&self.epoll, self.events.as_mut_slice(), Some(&timeout)) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64() as usize)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads from all clients for `duration`, so that their greetings take no memory and Pings are answered.
    pub fn serve(&mut self, duration: Duration) -> io::Result<()> {
        let deadline = Instant::now() + duration;
        let mut ready = Vec::new();
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Ok(());
            }
            self.wait(remaining, &mut ready)?;
            for &slot in &ready {
                // A client whose connection has failed is removed, which shows in the number of clients.
                let _ = self.receive(slot, |_, _, _| {});
            }
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// The slot is free, or the connection has failed. A client whose connection has failed is removed.
    pub fn send(&mut self, slot: usize, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.with_connection(slot, |connection, _| {
            frame::encode(&mut connection.unsent, opcode, payload);
            Ok(())
        })
    }

    /// Reads once and writes unsent bytes. See [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// The slot is free, or the connection has failed. A client whose connection has failed is removed.
    pub fn receive(
        &mut self,
        slot: usize,
        on_frame: impl FnMut(u8, &[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        self.with_connection(slot, |connection, buffer| {
            connection.receive(buffer, on_frame)
        })
    }

    /// Calls `action`, flushes the connection and updates its interest in the epoll.
    fn with_connection(
        &mut self,
        slot: usize,
        action: impl FnOnce(&mut Connection, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(Some(client)) = self.slots.get_mut(slot) else {
            return Err(ErrorKind::NotConnected.into());
        };
        let result = action(&mut client.connection, &mut self.read_buffer)
            .and_then(|()| client.connection.flush())
            .and_then(|()| {
                let wants_write = !client.connection.unsent.is_empty();
                if wants_write != client.wants_write {
                    client.wants_write = wants_write;
                    let data = epoll::EventData::new_u64(slot as u64);
                    let socket = &client.connection.socket;
                    epoll::modify(&self.epoll, socket, data, interest(wants_write))?;
                }
                Ok(())
            });
        if result.is_err() {
            self.remove(slot);
        }
        result
    }

    /// Removes a client. Its connection ends with a reset, as if the client had vanished.
    pub fn remove(&mut self, slot: usize) {
        // Dropping the socket also removes it from the epoll.
        if self.slots[slot].take().is_some() {
            self.free_slots.push(slot);
        }
    }
}

fn interest(wants_write: bool) -> epoll::EventFlags {
    match wants_write {
        true => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        false => epoll::EventFlags::IN,
    }
}
