//! `/echo` returns every message unchanged.

mod support;

use support::{Client, TestServer, config, watchdog};
use threadchat::Config;
use tungstenite::Message;

#[test]
fn text_and_binary_messages_round_trip() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = Client::connect(server.address, "/echo");
    for size in [0, 1, 125, 126, 65_535, 65_536] {
        for message in [
            Message::text("é".repeat(size / 2)),
            Message::binary(vec![0xff; size]),
        ] {
            client.send(message.clone());
            assert_eq!(
                client.next_message().expect("the server sends the echo"),
                message
            );
        }
    }
    client.close();
}

#[test]
fn texts_are_neither_changed_nor_interpreted_nor_broadcast() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let (mut echo, mut chat) = (Client::connect(server.address, "/echo"), server.client());
    for text in ["/who", "one\ntwo", "\u{202e}"] {
        echo.send_text(text);
        assert_eq!(echo.recv_text(), text);
    }
    chat.send_text("chat");
    assert_eq!(chat.recv_text(), "[user0]: chat");
    echo.send_text("still alone");
    assert_eq!(echo.recv_text(), "still alone");
}

#[test]
fn messages_up_to_the_limit_round_trip() {
    let _watchdog = watchdog(120);
    let max_message = 16 << 20;
    let server = TestServer::with_config(Config {
        max_message,
        ..config()
    });
    let mut client = Client::connect(server.address, "/echo");
    let largest = Message::binary(vec![7; max_message]);
    client.send(largest.clone());
    assert!(client.next_message().expect("the server sends the echo") == largest);
    let _ = client
        .socket
        .send(Message::binary(vec![7; max_message + 1]));
    assert_eq!(client.expect_close(), 1009);
}

#[test]
fn backpressure_delays_the_sender_but_drops_nothing() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let mut client = Client::connect(server.address, "/echo");
    let writer = client
        .socket
        .get_ref()
        .try_clone()
        .expect("the socket can be cloned");
    // More than all buffers on the way can hold, so the writer depends on the echo being read.
    let total = 400;
    let thread = std::thread::spawn(move || {
        let mut writer = tungstenite::WebSocket::from_raw_socket(
            writer,
            tungstenite::protocol::Role::Client,
            None,
        );
        for number in 0..total {
            writer
                .send(Message::binary(vec![number as u8; 65_536]))
                .expect("the server keeps reading");
        }
    });
    for number in 0..total {
        assert!(
            client.next_message().expect("the server sends the echo")
                == Message::binary(vec![number as u8; 65_536]),
            "{number}"
        );
    }
    thread.join().expect("the writer does not panic");
}
