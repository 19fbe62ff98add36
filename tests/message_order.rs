//! All clients see the same messages in the same order, however many speak at once.

mod support;

use std::thread;

use support::{TestServer, watchdog};

const CLIENTS: usize = 24;
const MESSAGES: usize = 400;

#[test]
fn every_client_sees_the_identical_sequence() {
    let _watchdog = watchdog(120);
    let host = TestServer::start();
    let clients: Vec<_> = (0..CLIENTS).map(|_| host.client()).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(sender, mut client)| {
            thread::spawn(move || {
                let mut heard = Vec::with_capacity(CLIENTS * MESSAGES);
                for number in 0..MESSAGES {
                    client.send_text(&format!("{sender}.{number}"));
                    // Reading on while speaking, as a client must that does not want to be cut off.
                    heard.push(client.recv_text());
                }
                while heard.len() < CLIENTS * MESSAGES {
                    heard.push(client.recv_text());
                }
                heard
            })
        })
        .collect();
    let heard: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no client fails"))
        .collect();
    for other in &heard[1..] {
        assert!(*other == heard[0], "two clients saw different sequences");
    }
    // Nothing is lost or doubled, and each sender's own order is kept.
    for sender in 0..CLIENTS {
        let prefix = format!("[user{sender}]: {sender}.");
        let numbers = heard[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix));
        assert!(
            numbers.eq((0..MESSAGES).map(|number| number.to_string())),
            "sender {sender}"
        );
    }
}
