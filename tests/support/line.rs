//! A line between clients and a server that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes bytes on between the clients of its address and a server.
pub struct Line {
    pub address: SocketAddr,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    pub fn start(server: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
        let address = listener.local_addr().expect("the socket is bound");
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let line = Line {
            address,
            sockets: Arc::clone(&sockets),
        };
        // The thread ends with the test program.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Without a server, the client is disconnected.
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                let clone = |socket: &TcpStream| socket.try_clone().expect("a descriptor");
                let mut open = sockets.lock().expect("the lock is not poisoned");
                open.extend([clone(&client), clone(&server)]);
                pass_on(clone(&client), clone(&server));
                pass_on(server, client);
            }
        });
        line
    }

    /// Ends all connections of the moment, in both directions and with what is on its way. Further ones are possible.
    pub fn cut(&self) {
        let mut open = self.sockets.lock().expect("the lock is not poisoned");
        for socket in open.drain(..) {
            // One side can have ended before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut part) {
            if to.write_all(&part[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
