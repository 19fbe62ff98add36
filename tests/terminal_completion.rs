//! Tab completes commands and names in the terminal client.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::{Client, TestServer, watchdog};
use terminal::Terminal;

const TAB: &str = "\t";

/// Starts a server with a client of each name, and a terminal that joins after them.
fn join_after(names: &[&str]) -> (TestServer, Vec<Client>, Terminal) {
    let server = TestServer::start();
    let connect = |name: &&str| {
        let mut client = server.client();
        client.send_text(&format!("/nick {name}"));
        client.recv_text();
        client
    };
    let mut clients: Vec<Client> = names.iter().map(connect).collect();
    let mut terminal = Terminal::join(server.address, "me");
    // The list of users, for which the client asked before, arrives before the action.
    terminal.type_in("/me waves\r");
    terminal.wait_for("[me]\x1b[0m waves");
    terminal.wait_for("me> ");
    for client in &mut clients {
        recv_text_from(client, "[me] waves");
    }
    (server, clients, terminal)
}

fn recv_text_from(client: &mut Client, sender: &str) -> String {
    loop {
        let line = client.recv_text();
        if line.starts_with(sender) {
            return line;
        }
    }
}

#[test]
fn commands_are_completed() {
    let _watchdog = watchdog(60);
    let (_server, mut clients, mut terminal) = join_after(&["bob"]);
    terminal.type_in(&format!("/me{TAB}waves\r"));
    assert_eq!(recv_text_from(&mut clients[0], "[me]"), "[me] waves");
    terminal.type_in(&format!("/ni{TAB}you-know\r"));
    assert_eq!(
        recv_text_from(&mut clients[0], "* me"),
        "* me is now you-know."
    );
    // Two commands begin with /wh.
    terminal.type_in(&format!("/w{TAB}{TAB}"));
    terminal.wait_for("* /whisper /who");
    terminal.wait_for("you-know> /wh");
    terminal.type_in(&format!("i{TAB}bob psst\r"));
    assert_eq!(
        recv_text_from(&mut clients[0], "[you-know"),
        "[you-know whispers]: psst"
    );
}

#[test]
fn names_of_earlier_and_later_users_are_completed() {
    let _watchdog = watchdog(60);
    let (server, mut clients, mut terminal) = join_after(&["bob", "Xaver"]);
    // The list that the client asked for itself is not shown.
    assert!(!terminal.output().contains("users here: "));
    let mut carl = server.client();
    carl.send_text("/nick carl");
    terminal.wait_for("is now carl.");
    let bob = &mut clients[0];
    for (typed, expected) in [
        ("bo\t hi", "[me]: bob:  hi"),
        ("hi ca\t", "[me]: hi carl "),
        ("hi @X\tand bo\t", "[me]: hi @Xaver and bob "),
        ("/w BO\tpsst", "[me whispers]: psst"),
        // Nothing is completed without a letter, and no word that begins a command.
        ("a \tb", "[me]: a b"),
    ] {
        terminal.type_in(&format!("{typed}\r"));
        assert_eq!(recv_text_from(bob, "[me"), expected);
    }
    // Who has left is not completed any more.
    carl.close();
    terminal.wait_for("* carl left.");
    terminal.type_in(&format!("ca{TAB}!\r"));
    assert_eq!(recv_text_from(bob, "[me"), "[me]: ca!");
}

#[test]
fn several_names_are_listed_and_messages_arrive_meanwhile() {
    let _watchdog = watchdog(60);
    let (_server, mut clients, mut terminal) = join_after(&["anna", "Annette", "bob"]);
    terminal.type_in(&format!("/w a{TAB}{TAB}"));
    terminal.wait_for("* Annette anna");
    terminal.wait_for("me> /w Ann");
    clients[2].send_text("an interruption");
    terminal.wait_for("an interruption");
    terminal.type_in(&format!("a{TAB}psst\r"));
    assert_eq!(
        recv_text_from(&mut clients[0], "[me"),
        "[me whispers]: psst"
    );
}

#[cfg(feature = "unicode-names")]
#[test]
fn names_of_any_script_are_requested_completed_and_mentioned() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    client.send_text("/nick Jürgen");
    client.recv_text();
    // As macOS decomposes it. The server's form of the name is in the prompt.
    let mut terminal = Terminal::start(&["--name", "Zoe\u{308}", &terminal::url(server.address)]);
    terminal.wait_for("Zoë> ");
    terminal.type_in("/me waves\r");
    terminal.wait_for("[Zoë]\x1b[0m waves");
    assert_eq!(recv_text_from(&mut client, "[Zoë]"), "[Zoë] waves");
    terminal.type_in(&format!("/w JU\u{308}{TAB}psst\r"));
    assert_eq!(
        recv_text_from(&mut client, "[Zoë whispers]"),
        "[Zoë whispers]: psst"
    );
    // A mention is in colour as a whole.
    client.send_text("hi ZOË");
    terminal.wait_for("[Jürgen]: hi ZOË\x1b[0m");
}
