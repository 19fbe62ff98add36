//! A line between clients and a server that can be cut, held, delayed, and half-opened.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Passes bytes on between the clients of its address and a server.
pub struct Line {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: Mutex<SocketAddr>,
    open: Mutex<Vec<Connection>>,
    held: Mutex<bool>,
    released: Condvar,
    delay_ms: AtomicUsize,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Whether what the client sends is discarded.
    requests_muted: Arc<AtomicBool>,
    /// Whether what the server sends is discarded.
    replies_muted: Arc<AtomicBool>,
}

impl Line {
    pub fn start(server: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
        let address = listener.local_addr().expect("the socket is bound");
        let state = Arc::new(State {
            server: Mutex::new(server),
            open: Mutex::default(),
            held: Mutex::new(false),
            released: Condvar::new(),
            delay_ms: AtomicUsize::new(0),
        });
        let line = Line {
            address,
            state: Arc::clone(&state),
        };
        // The thread ends with the test program.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                state.connect(client);
            }
        });
        line
    }

    /// Leads further connections to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.state.server.lock().expect(NOT_POISONED) = server;
    }

    /// Ends all connections of the moment, in both directions and with what is on its way. Further ones are possible.
    pub fn cut(&self) {
        let mut open = self.state.open.lock().expect(NOT_POISONED);
        for connection in open.drain(..) {
            // One side can have ended before.
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
    }

    /// Discards what the server sends by the connections of the moment. They stay open.
    pub fn mute_replies(&self) {
        for connection in &*self.state.open.lock().expect(NOT_POISONED) {
            connection.replies_muted.store(true, Ordering::Relaxed);
        }
    }

    /// Half-opens the connections of the moment: neither side receives anything any more, not even the end.
    pub fn mute(&self) {
        self.mute_replies();
        for connection in &*self.state.open.lock().expect(NOT_POISONED) {
            connection.requests_muted.store(true, Ordering::Relaxed);
        }
    }

    /// Stops passing bytes on, until they are released. None is lost.
    pub fn hold(&self) {
        *self.state.held.lock().expect(NOT_POISONED) = true;
    }

    /// Passes on what was held.
    pub fn release(&self) {
        *self.state.held.lock().expect(NOT_POISONED) = false;
        self.state.released.notify_all();
    }

    /// Delays what arrives from now on, in each direction.
    pub fn delay(&self, delay: Duration) {
        let delay = delay.as_millis() as usize;
        self.state.delay_ms.store(delay, Ordering::Relaxed);
    }
}

const NOT_POISONED: &str = "the lock is not poisoned";

impl State {
    fn connect(self: &Arc<State>, client: TcpStream) {
        let address = *self.server.lock().expect(NOT_POISONED);
        // Without a server, the client is disconnected.
        let Ok(server) = TcpStream::connect(address) else {
            return;
        };
        let clone = |socket: &TcpStream| socket.try_clone().expect("a descriptor");
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("a TCP socket");
        }
        let connection = Connection {
            client: clone(&client),
            server: clone(&server),
            requests_muted: Arc::default(),
            replies_muted: Arc::default(),
        };
        let requests_muted = Arc::clone(&connection.requests_muted);
        let replies_muted = Arc::clone(&connection.replies_muted);
        self.open.lock().expect(NOT_POISONED).push(connection);
        self.pass_on(clone(&client), clone(&server), requests_muted);
        self.pass_on(server, client, replies_muted);
    }

    fn pass_on(self: &Arc<State>, mut from: TcpStream, mut to: TcpStream, muted: Arc<AtomicBool>) {
        let state = Arc::clone(self);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut part) {
                state.wait();
                let passes = !muted.load(Ordering::Relaxed);
                if passes && to.write_all(&part[..length]).is_err() {
                    break;
                }
            }
            if !muted.load(Ordering::Relaxed) {
                let _ = to.shutdown(Shutdown::Write);
            }
        });
    }

    /// Waits as long as the line is held, and then for the delay.
    fn wait(&self) {
        let mut held = self.held.lock().expect(NOT_POISONED);
        while *held {
            held = self.released.wait(held).expect(NOT_POISONED);
        }
        drop(held);
        match self.delay_ms.load(Ordering::Relaxed) {
            0 => {}
            delay => thread::sleep(Duration::from_millis(delay as u64)),
        }
    }
}
