//! The errors of the terminal client without a terminal: one line on stderr and an exit code.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/filter.rs"]
mod filter;
mod support;

use filter::{Filter, success, url};
use support::{Client, TestServer, config, fake_server, watchdog};
use threadchat::Config;

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
