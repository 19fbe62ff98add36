//! Keys of the terminal client: Ctrl-C clears a draft, pasted lines are messages, /clear clears the screen.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::{TestServer, watchdog};
use terminal::{CTRL_C, CTRL_D, Terminal};

/// Written when the editor has taken over the terminal. Before that, Ctrl-C would discard what was typed.
const EDITING: &str = "\x1b[?2004h";
const CTRL_Y: &str = "\x19";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[J";

#[test]
fn ctrl_c_clears_a_draft_and_leaves_from_an_empty_line() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    terminal.type_in(&format!("not this{CTRL_C}but this\r"));
    assert_eq!(bob.recv_text(), "[alice]: but this");
    terminal.wait_for(EDITING);
    // The cleared draft can be put back.
    terminal.type_in(&format!("a draft{CTRL_C}{CTRL_Y}\r"));
    assert_eq!(bob.recv_text(), "[alice]: a draft");
    terminal.wait_for(EDITING);
    terminal.type_in(&format!("not sent{CTRL_C}"));
    terminal.type_in(CTRL_C);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    bob.send_text("/who");
    assert_eq!(bob.recv_text(), "* 1 user here: user1.");
}

#[test]
fn pasted_lines_are_messages_and_no_commands() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    let paste = |text: &str| format!("\x1b[200~{text}\x1b[201~\r");
    terminal.type_in(&paste("int main() {\r\n  // run\r\n\r\n/quit\r\n}\r\n"));
    for line in ["int main() {", "  // run", "/quit", "}"] {
        assert_eq!(bob.recv_text(), format!("[alice]: {line}"));
    }
    // Nothing of a whisper goes to all users.
    terminal.type_in("/w user1 ");
    terminal.type_in(&paste("one\rtwo"));
    for line in ["one", "two"] {
        assert_eq!(bob.recv_text(), format!("[alice whispers]: {line}"));
    }
    terminal.type_in("/w user1");
    terminal.type_in(&paste("\rsecret"));
    terminal.wait_for("* That needs a text");
    terminal.type_in("the end\r");
    assert_eq!(bob.recv_text(), "[alice]: the end");
}

#[test]
fn clear_clears_the_screen_and_help_lists_it() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    terminal.type_in("/help\r");
    terminal.wait_for("* /clear, or Ctrl-L: clear the screen");
    terminal.type_in("/Clear \r");
    terminal.wait_for(CLEAR_SCREEN);
    terminal.wait_for("alice> ");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    assert!(!terminal.output().contains("There is no command"));
}
