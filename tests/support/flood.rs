//! A client that sends as fast as possible.

use std::io::Read;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::{RawClient, TIMEOUT};

/// A flood in `/chat`, by a thread of its own.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    /// Connects, and sends these bytes again and again. Discards received bytes. Returns when the flood has begun.
    pub fn start(server: SocketAddr, repeated: Vec<u8>) -> Flood {
        let client = RawClient::upgraded(server, "/chat");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (sender, begun) = mpsc::sync_channel(1);
        let on_sent = move || {
            // Only the first one is received.
            let _ = sender.try_send(());
        };
        let thread =
            thread::spawn(move || flood(client, &repeated.repeat(1000), &stopped, on_sent));
        begun.recv_timeout(TIMEOUT).expect("the flood begins");
        Flood { stop, thread }
    }

    /// Ends the flood, and returns how many thousand times the bytes were sent.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join();
        sent.expect("the flooding thread does not panic")
    }
}

fn flood(mut client: RawClient, chunk: &[u8], stop: &AtomicBool, on_sent: impl Fn()) -> u64 {
    let mut reader = client.socket.try_clone().expect("the socket can be cloned");
    let reader_thread = thread::spawn(move || {
        let mut sink = vec![0; 256 << 10];
        while reader.read(&mut sink).is_ok_and(|n| n > 0) {}
    });
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) && client.try_send(chunk).is_ok() {
        sent += 1;
        on_sent();
    }
    client.socket.shutdown(Shutdown::Both).ok();
    reader_thread.join().expect("the reader does not panic");
    sent
}
