//! `/echo` sends back what comes.

mod support;

use support::{Client, TestServer, config, watchdog};
use threadchat::Config;
use tungstenite::Message;

#[test]
fn text_and_binary_come_straight_back() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut client = Client::connect(host.address, "/echo");
    for size in [0, 1, 125, 126, 65_535, 65_536] {
        for message in [
            Message::text("é".repeat(size / 2)),
            Message::binary(vec![0xff; size]),
        ] {
            client.send(message.clone());
            assert_eq!(client.next_message().expect("an echo"), message);
        }
    }
    client.close();
}

#[test]
fn nothing_is_added_and_nothing_is_a_command() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let (mut echo, mut chat) = (Client::connect(host.address, "/echo"), host.client());
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
fn messages_up_to_the_limit_pass() {
    let _watchdog = watchdog(120);
    let max_message = 16 << 20;
    let host = TestServer::with_config(Config {
        max_message,
        ..config()
    });
    let mut client = Client::connect(host.address, "/echo");
    let largest = Message::binary(vec![7; max_message]);
    client.send(largest.clone());
    assert!(client.next_message().expect("an echo") == largest);
    let _ = client
        .socket
        .send(Message::binary(vec![7; max_message + 1]));
    assert_eq!(client.expect_close(), 1009);
}

#[test]
fn a_client_that_sends_before_it_reads_is_slowed_and_loses_nothing() {
    let _watchdog = watchdog(120);
    let host = TestServer::start();
    let mut client = Client::connect(host.address, "/echo");
    let writer = client
        .socket
        .get_ref()
        .try_clone()
        .expect("a second handle");
    // More than all the buffers on the way hold, so it can only go in as the echo is read.
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
                .expect("the server reads on");
        }
    });
    for number in 0..total {
        assert!(
            client.next_message().expect("an echo") == Message::binary(vec![number as u8; 65_536]),
            "{number}"
        );
    }
    thread.join().expect("the writer ends");
}
