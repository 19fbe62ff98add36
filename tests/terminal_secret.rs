//! The terminal client and a server that wants a secret.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/filter.rs"]
mod filter;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use filter::{Filter, url};
use support::{Line, SecretFile, TestServer, config, watchdog};
use terminal::Terminal;
use threadchat::{Config, Secret};

const SECRET: &str = "correct-horse?battery>staple";

fn server(secret: &str) -> TestServer {
    TestServer::with_config(Config {
        secret: Some(Secret::Text(secret.into())),
        ..config()
    })
}

#[test]
fn the_first_line_of_the_file_opens_the_chat() {
    let _watchdog = watchdog(60);
    let server = server(SECRET);
    let file = SecretFile::new(&format!("{SECRET}\r\na second line\n"));
    let mut filter = Filter::start(&["--secret-file", file.path(), &url(server.address)]);
    filter.write("hello\n");
    filter.input = None;
    let lines = filter.read_to_end();
    assert_eq!(lines[1..], ["[user0]: hello"]);
    assert_eq!(filter.wait(), filter::success());
}

#[test]
fn a_missing_or_wrong_secret_gives_a_one_line_error() {
    let _watchdog = watchdog(60);
    let server = server(SECRET);
    let url = url(server.address);
    let (code, error) = Filter::fail(&[&url]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("needs a secret") && error.contains("--secret-file"),
        "{error}"
    );

    let file = SecretFile::new("another-secret\n");
    let (code, error) = Filter::fail(&["--secret-file", file.path(), &url]);
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        format!("the server refused the secret in {}", file.path())
    );
    assert!(!error.contains("another-secret"));
}

#[test]
fn a_file_without_a_secret_gives_a_one_line_error() {
    let _watchdog = watchdog(60);
    let server = server(SECRET);
    let url = url(server.address);
    let file = SecretFile::new("two words\n");
    let (code, error) = Filter::fail(&["--secret-file", file.path(), &url]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("must be 1 to 256") && !error.contains("two words"),
        "{error}"
    );
    let (code, error) = Filter::fail(&["--secret-file", "/nonexistent/secret", &url]);
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with("cannot read /nonexistent/secret: "),
        "{error}"
    );
    assert_eq!(Filter::fail(&["--secret-file"]).0, Some(2));
}

#[test]
fn a_secret_without_encryption_to_another_machine_is_warned_of() {
    let _watchdog = watchdog(60);
    let server = server(SECRET);
    let file = SecretFile::new(&format!("{SECRET}\n"));
    // This address means the own machine too, and does not look like it.
    let other = format!("ws://0.0.0.0:{}/chat", server.address.port());
    for (url, is_warned) in [(other.as_str(), true), (&url(server.address), false)] {
        let mut filter = Filter::start(&["--secret-file", file.path(), url]);
        filter.input = None;
        assert!(filter.read_line().starts_with("You are connected!"));
        let (code, error) = filter.wait();
        let is_shown = error
            == "threadchat-client: warning: the secret is sent without encryption: use wss://\n";
        assert_eq!((code, is_shown), (Some(0), is_warned), "{error}");
        assert!(is_warned || error.is_empty(), "{error}");
    }
}

#[test]
fn a_reconnect_takes_the_secret_that_the_file_has_now() {
    let _watchdog = watchdog(60);
    let old_server = server(SECRET);
    let listen = old_server.address;
    let file = SecretFile::new(&format!("{SECRET}\n"));
    let mut terminal = Terminal::start(&["--secret-file", file.path(), &url(listen)]);
    terminal.wait_for("user0> ");
    old_server.shutdown().expect("the server stops");
    let _server = TestServer::with_config(Config {
        listen: vec![listen.into()],
        secret: Some(Secret::Text("changed-meanwhile".into())),
        ..config()
    });
    terminal.wait_for("Still disconnected: the server refused the secret in ");
    file.write("changed-meanwhile\n");
    terminal.wait_for("Reconnected.");
}

#[test]
fn a_reconnect_takes_the_last_secret_if_the_file_has_none_any_more() {
    let _watchdog = watchdog(60);
    let server = server(SECRET);
    let line = Line::start(server.address);
    let file = SecretFile::new(&format!("{SECRET}\n"));
    let mut terminal = Terminal::start(&["--secret-file", file.path(), &url(line.address)]);
    terminal.wait_for("user0> ");
    // As a pipe is after it was read.
    file.write("");
    line.cut();
    terminal.wait_for("Disconnected");
    terminal.wait_for("You are user1.");
    assert!(!terminal.output().contains("Still disconnected"));
}
