//! The errors of the terminal client without a terminal: one line on stderr and an exit code.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/filter.rs"]
mod filter;
mod support;

use filter::{Filter, success, url};
use support::{Client, TestServer, config, eventually, fake_server, watchdog};
use threadchat::Config;
use tungstenite::Message;
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

#[test]
fn lost_connection_gives_a_one_line_error() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    server.shutdown().expect("the server stops");
    let (code, error) = filter.wait();
    assert_eq!((code, error.matches('\n').count()), (Some(1), 1), "{error}");
    assert!(
        error.contains("the server closed the connection"),
        "{error}"
    );

    let (address, server) = fake_server::serve(drop);
    let mut filter = Filter::start(&[&url(address)]);
    let (code, error) = filter.wait();
    assert_eq!((code, error.matches('\n').count()), (Some(1), 1), "{error}");
    assert!(error.contains("the connection was lost"), "{error}");
    server.join().expect("the server's assertions hold");
}

/// The output is not read, so the filter has not seen the Close yet when it fails to send.
#[test]
fn input_that_a_server_did_not_take_before_its_close_is_an_error() {
    const FULL_PIPE: usize = 64 << 10;
    const LONG: usize = 8000;
    let _watchdog = watchdog(60);
    let text = "x".repeat(LONG);
    let message = format!(r#"{{"type":"message","from":"server","text":"{text}"}}"#);
    let (address, server) = fake_server::serve(move |mut socket| {
        let mut send = |message| socket.send(message).expect("the client reads");
        for _ in 0..FULL_PIPE / LONG - 1 {
            send(Message::text(&message));
        }
        // The Pong tells that all of it has been read, so there is space for the rest.
        send(Message::Ping("here?".into()));
        let pong = socket.read().expect("the filter replies");
        assert_eq!(pong, Message::Pong("here?".into()));
        for _ in 0..2 {
            socket
                .send(Message::text(&message))
                .expect("there is space");
        }
        let away = CloseFrame {
            code: CloseCode::Away,
            reason: "".into(),
        };
        socket.close(Some(away)).expect("there is space");
    });
    let mut filter = Filter::start(&[&url(address)]);
    server.join().expect("the server's assertions hold");
    // More than one write to the socket: the first one is answered with a reset.
    filter.write(&(text.split_at(100).0.to_owned() + "\n").repeat(500));
    filter.input = None;
    eventually("the filter's input and writer have ended", || {
        filter.threads() == 1
    });
    assert_eq!(filter.read_to_end().len(), FULL_PIPE / LONG + 1);
    let (code, error) = filter.wait();
    assert_eq!((code, error.matches('\n').count()), (Some(1), 1), "{error}");
    assert!(error.contains("code 1001"), "{error}");
}

#[test]
fn failed_connection_gives_a_one_line_error() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let (code, error) = Filter::fail(&[&format!("ws://{}/nowhere", server.address)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("404") && error.contains("/chat"), "{error}");
    let (code, error) = Filter::fail(&[&format!("ws://{}/echo", server.address)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("threadchat.json"), "{error}");

    let server = TestServer::with_config(Config {
        max_connections: 1,
        ..config()
    });
    let address = server.address;
    let client = Client::join(address);
    let (code, error) = Filter::fail(&[&url(address)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("503") && error.contains("full"), "{error}");
    drop(client);

    let limited = TestServer::with_config(Config {
        max_per_address: Some(1),
        ..config()
    });
    let _client = Client::join(limited.address);
    let (code, error) = Filter::fail(&[&url(limited.address)]);
    assert_eq!(code, Some(1));
    assert!(
        error.ends_with("429 Too Many Requests: too many connections or joins from your address"),
        "{error}"
    );

    server.shutdown().expect("the server stops");
    let (code, error) = Filter::fail(&[&url(address)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("can't connect to 127.0.0.1"), "{error}");
}

#[test]
fn invalid_arguments_give_a_one_line_error() {
    let _watchdog = watchdog(60);
    for argument in [
        "http://localhost/chat",
        "localhost:8080",
        "--nonsense",
        "--name",
    ] {
        assert_eq!(Filter::fail(&[argument]).0, Some(2), "{argument}");
    }
    let mut help = Filter::start(&["--help"]);
    assert!(
        help.read_to_end()
            .iter()
            .any(|line| line.contains("--name NAME"))
    );
    assert_eq!(help.wait(), success());
}

#[test]
fn overlong_input_line_is_an_error() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    filter.write("first\n");
    filter.write(&"x".repeat(1 << 20));
    assert_eq!(filter.read_to_end(), ["[user0]: first"]);
    let (code, error) = filter.wait();
    assert_eq!(code, Some(1));
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
}
