//! The terminal client wraps long lines so that the end of a text does not look like a line of its own.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::{TestServer, watchdog};
use terminal::{CTRL_D, Terminal, url};

#[test]
fn continuation_lines_of_a_message_are_indented() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut sender = server.client();
    let args = ["--no-time", "--name", "al", &url(server.address)];
    let environment = [("TERM", "xterm"), ("NO_COLOR", "1")];
    let mut terminal = Terminal::start_wide(&args, &environment, 40);
    terminal.wait_for("al> ");
    // The row has 40 columns, of which the sender's name takes 9.
    sender.send_text(&format!("{}* The server stops.", "x".repeat(31)));
    let rows = format!("[user0]: {}\r\n    * The server stops.", "x".repeat(31));
    terminal.wait_for(&rows);
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
}
