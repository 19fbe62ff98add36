//! The limit on what one client alone can queue for another.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{Client, RawClient, TestServer, users, watchdog};

/// Whispers that would fill more than half of the receiver's backlog are refused, so the receiver keeps its connection
/// and its name.
#[test]
fn whispers_cannot_disconnect_a_slow_reader() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let mut victim = RawClient::upgraded(server.address, "/chat?name=victim");
    let mut attacker = server.client();
    let whisper = format!("/w victim {}", "x".repeat(60_000));
    let (mut sent, mut refused) = (0, 0);
    let start = Instant::now();
    while refused < 200 {
        attacker.send_text(&whisper);
        let reply = attacker.recv_text();
        if reply.starts_with("* ") {
            assert!(
                reply.contains("victim is reading too slowly"),
                "{reply:.200}"
            );
            refused += 1;
        } else {
            assert!(reply.starts_with("[you whisper to victim]"), "{reply:.100}");
            sent += 1;
        }
        // A slow reader takes some messages now and then, which keeps the write timeout from ending its connection.
        if (sent + refused) % 20 == 0 {
            victim
                .frame()
                .expect("the victim is connected")
                .expect("the victim is connected");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(60));
    let mut friend = Client::connect(server.address, "/chat?name=victim");
    assert_eq!(users(&friend.recv_text()), 3);
    assert!(friend.recv_text().contains("taken"));
    // Messages to all have no such limit, and arrive after the whispers.
    attacker.send_text("public");
    let mut whispers = 0;
    loop {
        let (_, text) = victim
            .frame()
            .expect("the victim is not reset")
            .expect("the victim is connected");
        if text.ends_with(b": public") {
            break;
        }
        whispers += 1;
        thread::yield_now();
    }
    assert!(whispers > 1 && whispers <= sent + 1, "{whispers} of {sent}");
    // A victim that has caught up receives whispers again.
    while attacker.recv_text() != "[user1]: public" {}
    attacker.send_text("/w victim again");
    assert_eq!(attacker.recv_text(), "[you whisper to victim]: again");
}
