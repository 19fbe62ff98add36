//! What a client sent before it vanished reaches the others.

mod support;

use support::cases::{CLOSE, TEXT};
use support::raw::frame;
use support::{Client, RawClient, ServerProcess, watchdog};

#[test]
fn messages_of_a_client_that_closes_its_socket_at_once_arrive() {
    const MESSAGES: usize = 1000;
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut witness = Client::join(server.address);
    for round in 0..10 {
        let mut client = RawClient::upgraded(server.address, "/chat");
        let message = |number| frame(TEXT, format!("{round}, {number}").as_bytes());
        let mut frames: Vec<u8> = (0..MESSAGES).flat_map(message).collect();
        frames.extend(frame(CLOSE, &1000_u16.to_be_bytes()));
        client.send(&frames);
        // The socket has unread input, so its end is a reset.
        drop(client);
        for number in 0..MESSAGES {
            let text = witness.recv_text();
            assert!(text.ends_with(&format!("]: {round}, {number}")), "{text}");
        }
        let line = server.wait_for_log(" left ");
        assert!(line.contains("closed by the client (1000)"), "{line}");
    }
}
