//! Times and mentions in the lines of the terminal client.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/filter.rs"]
mod filter;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::net::SocketAddr;
use std::thread::JoinHandle;

use filter::Filter;
use support::{TestServer, fake_server, watchdog};
use terminal::{CTRL_D, Terminal, url};
use tungstenite::Message;

/// No colours and a time zone five and a half hours ahead of UTC.
const PLAIN: [(&str, &str); 3] = [("TERM", "xterm"), ("NO_COLOR", "1"), ("TZ", "X-5:30")];

/// Serves a greeting for `me` and these events.
fn serve(events: &'static [&'static str]) -> (SocketAddr, JoinHandle<()>) {
    fake_server::serve(move |mut socket| {
        let welcome = r#"{"type":"welcome","name":"me","users":2}"#;
        for event in [welcome].iter().chain(events) {
            socket
                .send(Message::text(*event))
                .expect("the client reads");
        }
        fake_server::accept_close(&mut socket);
    })
}

/// Returns true for a text that ends with a time of day and a space.
fn ends_with_time(text: &str) -> bool {
    let end: String = text.chars().rev().take(6).collect();
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    end.chars().rev().map(digits).collect::<String>() == "00:00 "
}

#[test]
fn lines_begin_with_the_time_of_the_message_in_the_local_zone() {
    let _watchdog = watchdog(60);
    let (address, server) = serve(&[
        // 2026-01-01 22:59 UTC
        r#"{"type":"message","from":"bob","text":"then","id":1,"time":1767308399999}"#,
        r#"{"type":"action","from":"bob","text":"waves","id":2,"time":1}"#,
    ]);
    let mut terminal = Terminal::start_with(&[&url(address)], &PLAIN);
    terminal.wait_for("04:29 [bob]: then");
    terminal.wait_for("05:30 [bob] waves");
    terminal.type_in(CTRL_D);
    terminal.wait_for_exit();
    server.join().expect("the server's assertions hold");
}

#[test]
fn lines_without_a_time_begin_with_that_of_their_arrival() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::start_with(&[&url(server.address)], &PLAIN);
    terminal.wait_for("user0> ");
    let mut bob = server.client();
    bob.send_text("/nick bob");
    bob.send_text("hello");
    bob.send_text("/w user0 psst");
    terminal.wait_for("[bob whispers]: psst");
    let output = terminal.output();
    for line in [
        "* You are user0.",
        "* user1 joined.",
        "* user1 is now bob.",
        "[bob]: hello",
        "[bob whispers]: psst",
    ] {
        let at = output.find(line).expect(line);
        assert!(ends_with_time(&output[..at]), "{line} in {output:?}");
    }
}

#[test]
fn no_time_switches_times_off_and_the_filter_has_none() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::start_with(&["--no-time", &url(server.address)], &PLAIN);
    terminal.wait_for("user0> ");
    let mut filter = Filter::join(server.address);
    server.client().send_text("hello");
    assert_eq!(filter.read_line(), "[user2]: hello");
    terminal.wait_for("[user2]: hello");
    let output = terminal.output();
    for (at, _) in output.match_indices('*').chain(output.match_indices('[')) {
        assert!(!ends_with_time(&output[..at]), "{output:?}");
    }
}

#[test]
fn mention_of_the_own_name_stands_out() {
    const MENTION: &str = "\x1b[1;36m";
    let _watchdog = watchdog(60);
    let (address, server) = serve(&[
        r#"{"type":"message","from":"bob","text":"some memo"}"#,
        r#"{"type":"message","from":"bob","text":"hi @Me!"}"#,
        r#"{"type":"action","from":"bob","text":"waves at me"}"#,
        r#"{"type":"action","from":"me","text":"for me"}"#,
        r#"{"type":"message","from":"bob","text":"the end"}"#,
    ]);
    let mut terminal = Terminal::start(&["--no-time", &url(address)]);
    terminal.wait_for("\x1b[1m[bob]\x1b[0m: some memo");
    terminal.wait_for(&format!("{MENTION}[bob]: hi @Me!\x1b[0m"));
    terminal.wait_for(&format!("{MENTION}[bob] waves at me\x1b[0m"));
    terminal.wait_for("\x1b[1m[me]\x1b[0m for me");
    terminal.wait_for("the end");
    terminal.type_in(CTRL_D);
    terminal.wait_for_exit();
    server.join().expect("the server's assertions hold");
}

#[test]
fn mention_without_colours_is_a_plain_line() {
    let _watchdog = watchdog(60);
    let (address, server) = serve(&[r#"{"type":"message","from":"bob","text":"hi me"}"#]);
    let mut terminal = Terminal::start_with(&["--no-time", &url(address)], &PLAIN);
    terminal.wait_for("[bob]: hi me");
    terminal.wait_for("me> ");
    terminal.type_in(CTRL_D);
    terminal.wait_for_exit();
    assert!(
        !terminal.output().contains("\x1b[1"),
        "{}",
        terminal.output()
    );
    server.join().expect("the server's assertions hold");
}
