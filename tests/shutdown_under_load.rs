//! Shutdown with a thousand connected clients: each receives a Close, and the server exits in time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::cases::{CLOSE, TEXT};
use support::{RawClient, ServerProcess, raw, watchdog};

const CLIENTS: usize = 1000;
const SENDERS: usize = 20;

#[test]
fn a_thousand_clients_receive_1001_and_the_server_exits_with_0() {
    let _watchdog = watchdog(120);
    support::raise_nofile_limit();
    let mut server = ServerProcess::start(&["--max-connections", "1000"]);
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = clients[..SENDERS]
        .iter()
        .map(|sender| {
            let mut socket = sender.socket.try_clone().expect("the socket can be cloned");
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let frame = raw::frame(TEXT, b"message");
                // Sending also ends when the server closes the connection.
                while !stop.load(Ordering::Relaxed)
                    && std::io::Write::write_all(&mut socket, &frame).is_ok()
                {
                    thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();
    // The chat is under load once each client has received a message.
    for client in &mut clients {
        while !client
            .frame()
            .expect("the connection is not reset")
            .is_some_and(|frame| frame.1.ends_with(b"message"))
        {}
    }
    let start = Instant::now();
    server.signal(Signal::TERM);
    let code = 1001_u16.to_be_bytes();
    let close = [&[CLOSE, 18], &code[..], b"the server stops"].concat();
    for client in &mut clients {
        // The Close is the last thing that the server sends. To read what has piled up frame by frame could take longer than
        // the server waits for the replies of a thousand clients.
        let rest = client.rest().expect("the connection is not reset");
        assert!(
            rest.ends_with(&close),
            "the connection ended without a Close"
        );
        // The connection can be aborted already, if this took longer than the server's close timeout.
        let _ = client.try_send(&raw::frame(CLOSE, &code));
    }
    assert_eq!(server.wait().code(), Some(0));
    println!("{CLIENTS} connections closed in {:?}", start.elapsed());
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    stop.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no sender panics"));
}
