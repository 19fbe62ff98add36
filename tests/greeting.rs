//! The greeting comes with the response to the handshake.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{TestServer, raw, watchdog};

#[test]
fn the_response_and_the_greeting_are_one_write() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut clients = Vec::new();
    for number in 1..=50 {
        let mut client = TcpStream::connect(server.address).expect("the server listens");
        let handshake = raw::handshake("/chat", "");
        let sent = client.write_all(handshake.as_bytes());
        sent.expect("the server reads");
        let mut received = [0; 1024];
        let received_bytes = client.read(&mut received).expect("the server responds");
        let text = String::from_utf8_lossy(&received[..received_bytes]);
        let users = format!("There are {number} users here.");
        assert!(text.contains("\r\n\r\n") && text.contains(&users), "{text}");
        clients.push(client);
    }
}
