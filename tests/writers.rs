//! Batches that several threads send have one order.

mod support;

use support::cases::TEXT;
use support::{RawClient, TestServer, config, raise_nofile_limit, raw, watchdog};
use threadchat::Config;

#[test]
fn all_clients_see_the_order_of_the_dispatcher() {
    const CLIENTS: usize = 1600;
    const MESSAGES: usize = 20;
    let _watchdog = watchdog(120);
    raise_nofile_limit();
    let server = TestServer::with_config(Config {
        writers: 3,
        max_connections: CLIENTS,
        ..config()
    });
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    for number in 0..MESSAGES {
        // Senders of all parts of the list.
        let sender = number * CLIENTS / MESSAGES;
        clients[sender].send(&raw::frame(TEXT, format!("message {number}").as_bytes()));
    }
    let transcript = |client: &mut RawClient| {
        let mut texts = Vec::new();
        while texts.len() < MESSAGES {
            let frame = client.frame().expect("no reset").expect("no end");
            if frame.1.starts_with(b"[user") {
                texts.push(frame.1);
            }
        }
        texts
    };
    let first = transcript(&mut clients[0]);
    for client in &mut clients[1..] {
        assert!(
            transcript(client) == first,
            "two clients saw different orders"
        );
    }
}
