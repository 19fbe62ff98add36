//! The name of a user that was disconnected for being slow is reserved for its address.
#![cfg(target_os = "linux")]

mod support;

use std::net::{SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use support::{Client, RawClient, TestServer, raw, watchdog};

/// Connects to `/chat` from another loopback address, with a requested name, and returns the two lines that follow.
fn greeting_from_another_address(server: SocketAddr, name: &str) -> [String; 2] {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("descriptors are left");
    bind(&fd, &SocketAddr::from(([127, 0, 0, 2], 0))).expect("Linux has all of 127.0.0.0/8");
    connect(&fd, &server).expect("the server listens");
    let mut client = RawClient::connect(server);
    client.socket = TcpStream::from(fd);
    client.send(raw::handshake(&format!("/chat?name={name}"), "").as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    [(); 2].map(|()| {
        let frame = client.frame().expect("the connection is not reset");
        String::from_utf8(frame.expect("the connection is open").1).expect("texts are UTF-8")
    })
}

#[test]
fn name_of_a_slow_user_is_reserved_for_its_address() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let stalled = RawClient::upgraded(server.address, "/chat?name=alice");
    let mut sender = server.client();
    let text = "x".repeat(32 << 10);
    loop {
        sender.send_text(&text);
        sender.recv_text();
        sender.send_text("/who");
        if !sender.recv_text().contains("alice") {
            break;
        }
    }
    let [_, error] = greeting_from_another_address(server.address, "alice");
    assert!(
        error.starts_with("* ") && error.contains("taken"),
        "{error}"
    );
    let mut alice = Client::connect(server.address, "/chat?name=alice");
    alice.recv_text();
    alice.send_text("back");
    assert_eq!(alice.recv_text(), "[alice]: back");
    drop(stalled);
}
