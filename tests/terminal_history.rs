//! The terminal client shows what was said before it came, and after a lost connection what it has missed, once.
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::thread;

use support::{Client, Line, TestServer, config, eventually, watchdog};
use terminal::{Terminal, url};
use threadchat::Config;

fn with_history() -> Config {
    Config {
        history: 10_000,
        ..config()
    }
}

/// Returns the numbers of the lines `[bob]: number N`, in the order in which the terminal shows them.
fn numbers(terminal: &Terminal) -> Vec<usize> {
    let output = terminal.output();
    let shown = output.split("[bob]").skip(1);
    shown
        .filter_map(|rest| {
            let (_, rest) = rest.split_once("number ")?;
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .collect()
}

#[test]
fn a_newcomer_sees_the_history_with_its_own_earlier_messages() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(with_history());
    let mut ann = Client::connect(server.address, "/chat/lobby?name=ann");
    ann.recv_text();
    let _stays = Client::connect(server.address, "/chat/lobby");
    for text in ["from before", "/me waves"] {
        ann.send_text(text);
        ann.recv_text();
    }
    ann.close();
    let mut terminal =
        Terminal::start(&["--name", "ann", &format!("{}/Lobby", url(server.address))]);
    terminal.wait_for("You are ann. Users here: 2.");
    terminal.wait_for("[ann]");
    terminal.wait_for("from before");
    terminal.wait_for("[ann]");
    terminal.wait_for("waves");
}

#[test]
fn a_cut_line_loses_and_doubles_nothing_under_load() {
    const MESSAGES: usize = 1500;
    let _watchdog = watchdog(120);
    let server = TestServer::with_config(with_history());
    let line = Line::start(server.address);
    let mut terminal = Terminal::start(&["--no-time", "--name", "ann", &url(line.address)]);
    terminal.wait_for("ann> ");
    let mut bob = Client::connect(server.address, "/chat?name=bob");
    bob.recv_text();
    let talk = |bob: &mut Client, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let text = format!("number {number}.");
            bob.send_text(&text);
            bob.recv_until(|line| line.ends_with(&text));
        }
    };
    for round in 0..3 {
        let first = round * MESSAGES / 3;
        thread::scope(|scope| {
            scope.spawn(|| talk(&mut bob, first..first + MESSAGES / 3));
            terminal.wait_for(&format!("number {}.", first + 20));
            line.cut();
            terminal.wait_for("Disconnected");
            terminal.wait_for("Reconnected");
        });
    }
    // On a busy machine, bob may have said everything before the line was cut.
    eventually("the last message is shown", || {
        numbers(&terminal).last() == Some(&(MESSAGES - 1))
    });
    assert_eq!(numbers(&terminal), Vec::from_iter(0..MESSAGES));
    assert!(!terminal.output().contains("may be missing"));
}

#[test]
fn own_messages_that_arrived_are_not_shown_twice_and_others_are_reported() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(with_history());
    let line = Line::start(server.address);
    let mut terminal = Terminal::start(&["--no-time", "--name", "ann", &url(line.address)]);
    terminal.wait_for("ann> ");
    let mut bob = Client::join(server.address);
    terminal.type_in("it arrived\r");
    assert_eq!(bob.recv_text(), "[ann]: it arrived");
    line.cut();
    bob.send_text("meanwhile");
    terminal.wait_for("meanwhile");
    bob.send_text("the end");
    terminal.wait_for("the end");
    // Once as it was typed.
    assert_eq!(terminal.output().matches("[ann]").count(), 0);
    assert!(!terminal.output().contains("did not arrive"));
}

#[test]
fn a_server_that_was_started_anew_is_a_gap() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(with_history());
    let address = server.address;
    let mut terminal = Terminal::start(&["--no-time", "--name", "ann", &url(address)]);
    terminal.wait_for("ann> ");
    terminal.type_in("lost with the server\r");
    server.shutdown().expect("the server stops");
    terminal.wait_for("Disconnected");
    let server = TestServer::with_config(Config {
        listen: vec![address.into()],
        ..with_history()
    });
    let mut bob = server.client();
    bob.send_text("said meanwhile");
    terminal.wait_for("may be missing");
    terminal.wait_for("said meanwhile");
}

#[test]
fn a_gap_is_reported_once() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let line = Line::start(server.address);
    let mut terminal = Terminal::start(&["--no-time", "--name", "ann", &url(line.address)]);
    terminal.wait_for("ann> ");
    let mut bob = server.client();
    bob.send_text("received");
    terminal.wait_for("received");
    line.hold();
    line.cut();
    bob.recv_text();
    bob.send_text("missed");
    bob.recv_text();
    line.release();
    terminal.wait_for("Messages sent meanwhile may be missing.");
    terminal.type_in("/who\r");
    terminal.wait_for("* 2 users here");
    line.cut();
    terminal.wait_for("Reconnected.");
    bob.send_text("the end");
    terminal.wait_for("the end");
    assert_eq!(terminal.output().matches("may be missing").count(), 1);
}
