//! Many clients served by one thread. The server is to be the one that has too little of the machine, not its load.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::connection::Connection;
use crate::frame;

/// What one read may bring: several of the server's batches.
const READ_BUFFER_SIZE: usize = 256 << 10;

/// How many clients may be found ready at once.
const EVENTS: usize = 1024;

struct Member {
    connection: Connection,
    /// Woken also when the socket takes more.
    wants_to_send: bool,
}

pub struct Crowd {
    epoll: OwnedFd,
    members: Vec<Option<Member>>,
    vacant: Vec<usize>,
    buffer: Vec<u8>,
    events: Vec<MaybeUninit<epoll::Event>>,
}

impl Crowd {
    pub fn new() -> io::Result<Crowd> {
        Ok(Crowd {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            members: Vec::new(),
            vacant: Vec::new(),
            buffer: vec![0; READ_BUFFER_SIZE],
            events: vec![MaybeUninit::uninit(); EVENTS],
        })
    }

    /// Takes a client in: its number from now on, which a later one may get after it has gone.
    pub fn admit(&mut self, connection: Connection) -> io::Result<usize> {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        });
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&self.epoll, &connection.socket, data, interest(false))?;
        self.members[place] = Some(Member {
            connection,
            wants_to_send: false,
        });
        Ok(place)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.members.len() - self.vacant.len()
    }

    /// Puts into `ready` who has something to read, or room to send what waits; for no longer than `timeout`.
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

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// The client is no longer in the crowd, or it is gone now.
    pub fn send(&mut self, place: usize, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.serve(place, |connection, _| {
            frame::put(&mut connection.unsent, opcode, payload);
            Ok(())
        })
    }

    /// Reads once and sends what waits. See [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// The client is no longer in the crowd, or it is gone now.
    pub fn receive(
        &mut self,
        place: usize,
        each: impl FnMut(u8, &[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        self.serve(place, |connection, buffer| connection.receive(buffer, each))
    }

    fn serve(
        &mut self,
        place: usize,
        work: impl FnOnce(&mut Connection, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(Some(member)) = self.members.get_mut(place) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let done = work(&mut member.connection, &mut self.buffer)
            .and_then(|()| member.connection.flush())
            .and_then(|()| {
                let wants_to_send = !member.connection.unsent.is_empty();
                if wants_to_send != member.wants_to_send {
                    member.wants_to_send = wants_to_send;
                    let data = epoll::EventData::new_u64(place as u64);
                    let socket = &member.connection.socket;
                    epoll::modify(&self.epoll, socket, data, interest(wants_to_send))?;
                }
                Ok(())
            });
        if done.is_err() {
            self.dismiss(place);
        }
        done
    }

    /// Lets a client go. Its connection ends by a reset, as if it had vanished.
    pub fn dismiss(&mut self, place: usize) {
        // Dropping the socket takes it out of the epoll.
        if self.members[place].take().is_some() {
            self.vacant.push(place);
        }
    }
}

fn interest(wants_to_send: bool) -> epoll::EventFlags {
    match wants_to_send {
        true => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        false => epoll::EventFlags::IN,
    }
}
