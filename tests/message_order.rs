//! All clients receive the same messages in the same order, with many concurrent senders.

mod support;

use std::thread;

use support::{TestServer, watchdog};

const CLIENTS: usize = 24;
const MESSAGES: usize = 400;

#[test]
fn all_clients_receive_the_same_sequence() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let clients: Vec<_> = (0..CLIENTS).map(|_| server.client()).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(sender, mut client)| {
            thread::spawn(move || {
                let mut received = Vec::with_capacity(CLIENTS * MESSAGES);
                for number in 0..MESSAGES {
                    client.send_text(&format!("{sender}.{number}"));
                    // Reads between its sends, because a client that only sends would exceed the backlog.
                    received.push(client.recv_text());
                }
                while received.len() < CLIENTS * MESSAGES {
                    received.push(client.recv_text());
                }
                received
            })
        })
        .collect();
    let received: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no client thread panics"))
        .collect();
    for other in &received[1..] {
        assert!(
            *other == received[0],
            "two clients received different sequences"
        );
    }
    // No message is lost or duplicated, and each sender's order is kept.
    for sender in 0..CLIENTS {
        let prefix = format!("[user{sender}]: {sender}.");
        let numbers = received[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix));
        assert!(
            numbers.eq((0..MESSAGES).map(|number| number.to_string())),
            "sender {sender}"
        );
    }
}
