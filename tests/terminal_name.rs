//! The terminal client gets its name back after a lost connection, when the user that has it meanwhile leaves it.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::{Client, Line, TestServer, eventually, watchdog};
use terminal::{Terminal, url};

/// Written when the editor has taken over the terminal, and when Enter has ended the line.
const EDITING: &str = "\x1b[?2004h";
const LINE_TAKEN: &str = "\x1b[?2004l";

/// A server with a user `bob` that took the name `ann` when the terminal client of that name lost its connection, as the
/// server can keep the user of a connection that was lost on one side only.
struct Lost {
    server: TestServer,
    line: Line,
    terminal: Terminal,
    bob: Client,
}

impl Lost {
    fn start() -> Lost {
        let server = TestServer::start();
        let line = Line::start(server.address);
        let mut terminal = Terminal::start(&["--no-time", "--name", "ann", &url(line.address)]);
        terminal.wait_for("ann> ");
        // The client connects again when bob has the name.
        line.hold();
        line.cut();
        let mut bob = server.client();
        eventually("the name is free", || {
            bob.send_text("/nick ann");
            bob.recv_text().contains("is now ann")
        });
        line.release();
        terminal.wait_for("Reconnected.");
        terminal.wait_for("You can't be called \"ann\"");
        Lost {
            server,
            line,
            terminal,
            bob,
        }
    }
}

#[test]
fn name_is_regained_when_its_user_leaves() {
    let _watchdog = watchdog(60);
    let Lost {
        server,
        mut terminal,
        bob,
        line: _line,
    } = Lost::start();
    let mut carl = server.client();
    bob.close();
    terminal.wait_for("* ann left.");
    terminal.wait_for("is now ann.");
    terminal.type_in("back\r");
    carl.recv_until(|line| line == "[ann]: back");
}

#[test]
fn name_is_regained_when_its_user_takes_another() {
    let _watchdog = watchdog(60);
    let Lost {
        mut terminal,
        mut bob,
        server: _server,
        line: _line,
    } = Lost::start();
    bob.send_text("/nick bob");
    terminal.wait_for("* ann is now bob.");
    terminal.wait_for("is now ann.");
    terminal.type_in("back\r");
    bob.recv_until(|line| line == "[ann]: back");
}

#[test]
fn another_user_can_be_faster_and_lines_are_confirmed_as_before() {
    let _watchdog = watchdog(60);
    let Lost {
        server,
        mut terminal,
        mut bob,
        line,
    } = Lost::start();
    let mut carl = server.client();
    line.hold();
    bob.send_text("/nick bob");
    bob.recv_until(|line| line == "* ann is now bob.");
    carl.send_text("/nick ann");
    carl.recv_until(|line| line.ends_with("is now ann."));
    terminal.type_in("hello\r");
    line.release();
    terminal.wait_for("You can't be called \"ann\"");
    bob.recv_until(|line| line.ends_with(": hello"));
    bob.send_text("seen");
    terminal.wait_for("seen");
    // Of the three commands, only this line is not confirmed.
    line.mute();
    terminal.type_in("lost\r");
    terminal.wait_for(LINE_TAKEN);
    terminal.wait_for(EDITING);
    line.cut();
    terminal.wait_for(" Your last message might not have");
}

#[test]
fn mention_of_the_lost_name_stands_out() {
    let _watchdog = watchdog(60);
    let Lost {
        mut terminal,
        mut bob,
        server: _server,
        line: _line,
    } = Lost::start();
    bob.send_text("@ann are you there?");
    terminal.wait_for("\x1b[1;36m[ann]: @ann are you there?");
}
