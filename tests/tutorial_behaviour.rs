//! The tutorial, to the letter.

mod support;

use support::{Client, RawClient, TestServer, eventually, raw, watchdog};
use tungstenite::Message;

fn greeting(users: usize) -> String {
    format!("You are connected! There are {users} users here.")
}

#[test]
fn a_newcomer_is_greeted_with_the_number_of_users() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut all = Vec::new();
    for users in 1..=3 {
        let mut client = Client::connect(host.address, "/chat");
        assert_eq!(client.recv_text(), greeting(users));
        all.push(client);
    }
}

#[test]
fn what_one_says_goes_to_everybody_under_the_name_of_a_counter() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut clients = [host.client(), host.client(), host.client()];
    let long = "x".repeat(65_536);
    for (speaker, text) in [(0, "hello"), (2, ""), (1, "žluťoučký 🐎"), (0, &long)] {
        clients[speaker].send_text(text);
        for client in &mut clients {
            assert_eq!(client.recv_text(), format!("[user{speaker}]: {text}"));
        }
    }
}

#[test]
fn what_is_no_text_is_skipped() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut client = host.client();
    client.send(Message::binary(vec![1, 2, 3]));
    client.send(Message::Pong("unasked".into()));
    client.send(Message::Ping("p".into()));
    client.send_text("text");
    assert_eq!(
        client.next_message().expect("a pong comes"),
        Message::Pong("p".into())
    );
    assert_eq!(client.recv_text(), "[user0]: text");
}

#[test]
fn nobody_is_told_who_comes_and_goes() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut stays = host.client();
    host.client().close();
    drop(host.client());
    eventually("the two are gone", || {
        let mut probe = Client::connect(host.address, "/chat");
        let alone = probe.recv_text() == greeting(2);
        probe.close();
        alone
    });
    stays.send_text("alone");
    assert_eq!(stays.recv_text(), "[user0]: alone");
}

#[test]
fn names_are_not_reused_and_not_used_up_by_other_requests() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    host.client().close();
    for path in ["/", "/health", "/nothing", "/chat"] {
        let mut raw = RawClient::connect(host.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        raw.rest().expect("an answer");
    }
    Client::connect(host.address, "/echo").close();
    let mut unfinished = RawClient::connect(host.address);
    unfinished.send(b"GET /chat HTTP/1.1\r\n");
    let mut client = host.client();
    client.send_text("hi");
    assert_eq!(client.recv_text(), "[user1]: hi");
}

#[test]
fn what_was_said_before_leaving_arrives() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut hears = host.client();
    // Everything in one packet, and then nothing more.
    let mut leaves = RawClient::connect(host.address);
    let mut bytes = raw::handshake("/chat", "").into_bytes();
    for number in 0..100 {
        bytes.extend(raw::frame(0x81, format!("message {number}").as_bytes()));
    }
    bytes.extend(raw::frame(0x88, &[3, 232]));
    leaves.send(&bytes);
    for number in 0..100 {
        assert_eq!(hears.recv_text(), format!("[user1]: message {number}"));
    }
    assert!(leaves.head().starts_with("HTTP/1.1 101 "));
    let mut frames = Vec::new();
    while let Some(frame) = leaves.frame().expect("no reset") {
        frames.push(frame);
    }
    // It was here when it spoke: it heard all of it before its Close was answered, with the same code.
    assert_eq!(frames.len(), 102);
    assert_eq!(frames[0], (0x81, greeting(2).into_bytes()));
    assert_eq!(frames[100], (0x81, b"[user1]: message 99".to_vec()));
    assert_eq!(frames[101], (0x88, vec![3, 232]));
}
