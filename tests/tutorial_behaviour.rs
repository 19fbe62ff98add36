//! The behaviour of Ktor's tutorial "Creating a WebSocket chat", to the letter.

mod support;

use support::cases::{CLOSE, TEXT};
use support::{Client, RawClient, TestServer, eventually, raw, watchdog};
use tungstenite::Message;

fn greeting(users: usize) -> String {
    format!("You are connected! There are {users} users here.")
}

#[test]
fn new_clients_are_greeted_with_the_number_of_users() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut clients = Vec::new();
    for users in 1..=3 {
        let mut client = Client::connect(server.address, "/chat");
        assert_eq!(client.recv_text(), greeting(users));
        clients.push(client);
    }
}

#[test]
fn messages_are_broadcast_with_the_senders_name() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut clients = [server.client(), server.client(), server.client()];
    let long = "x".repeat(65_536);
    for (sender, text) in [(0, "hello"), (2, ""), (1, "žluťoučký 🐎"), (0, &long)] {
        clients[sender].send_text(text);
        for client in &mut clients {
            assert_eq!(client.recv_text(), format!("[user{sender}]: {text}"));
        }
    }
}

#[test]
fn non_text_frames_are_not_broadcast() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    client.send(Message::binary(vec![1, 2, 3]));
    client.send(Message::Pong("unsolicited".into()));
    client.send(Message::Ping("p".into()));
    client.send_text("text");
    assert_eq!(
        client
            .next_message()
            .expect("the server replies with a pong"),
        Message::Pong("p".into())
    );
    assert_eq!(client.recv_text(), "[user0]: text");
}

#[test]
fn joins_and_leaves_are_not_announced_in_plain_text() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    server.client().close();
    drop(server.client());
    eventually("the two others are removed", || {
        let mut probe = Client::connect(server.address, "/chat");
        let alone = probe.recv_text() == greeting(2);
        probe.close();
        alone
    });
    client.send_text("alone");
    assert_eq!(client.recv_text(), "[user0]: alone");
}

#[test]
fn names_are_not_reused_and_only_chat_clients_take_one() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    server.client().close();
    for path in ["/", "/health", "/nothing", "/chat"] {
        let mut raw = RawClient::connect(server.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        raw.rest().expect("the server sends a response");
    }
    Client::connect(server.address, "/echo").close();
    let mut unfinished = RawClient::connect(server.address);
    unfinished.send(b"GET /chat HTTP/1.1\r\n");
    let mut client = server.client();
    client.send_text("hi");
    assert_eq!(client.recv_text(), "[user1]: hi");
}

#[test]
fn last_message_before_close_is_delivered() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut receiver = server.client();
    // The handshake, all messages and the Close in one write.
    let mut sender = RawClient::connect(server.address);
    let mut bytes = raw::handshake("/chat", "").into_bytes();
    for number in 0..100 {
        bytes.extend(raw::frame(TEXT, format!("message {number}").as_bytes()));
    }
    bytes.extend(raw::frame(CLOSE, &[3, 232]));
    sender.send(&bytes);
    for number in 0..100 {
        assert_eq!(receiver.recv_text(), format!("[user1]: message {number}"));
    }
    assert!(sender.head().starts_with("HTTP/1.1 101 "));
    let mut frames = Vec::new();
    while let Some(frame) = sender.frame().expect("the connection is not reset") {
        frames.push(frame);
    }
    // The sender receives its own messages too, and then the reply to its Close, with the same code.
    assert_eq!(frames.len(), 102);
    assert_eq!(frames[0], (TEXT, greeting(2).into_bytes()));
    assert_eq!(frames[100], (TEXT, b"[user1]: message 99".to_vec()));
    assert_eq!(frames[101], (CLOSE, vec![3, 232]));
}
