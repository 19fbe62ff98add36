//! The terminal client on a pseudo-terminal.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::{TestServer, config, fake_server, watchdog};
use terminal::{CTRL_C, CTRL_D, Terminal, UP, url};
use threadchat::Config;
use tungstenite::Message;

#[test]
fn prompt_shows_the_own_name_and_follows_a_rename() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::start(&[&url(server.address)]);
    terminal.wait_for("You are user0.");
    terminal.wait_for("user0> ");
    terminal.type_in("/nick alice\r");
    terminal.wait_for("* user0 is now alice.");
    terminal.wait_for("alice> ");
    terminal.type_in("/nick no good\r");
    terminal.wait_for("* You can't be called \"no good\"");
    terminal.wait_for("alice> ");
}

#[test]
fn edited_line_survives_arriving_messages() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    terminal.wait_for("* user1 joined. Users here: 2.");
    terminal.type_in("half of ");
    terminal.wait_for("half of ");
    bob.send_text("an interruption");
    terminal.wait_for("[user1]\x1b[0m: an interruption");
    // The edited line is redrawn below the message.
    terminal.wait_for("alice> half of ");
    terminal.type_in("a line\r");
    assert_eq!(bob.recv_text(), "[user1]: an interruption");
    assert_eq!(bob.recv_text(), "[alice]: half of a line");
    bob.close();
    terminal.wait_for("* user1 left. Users here: 1.");
}

#[test]
fn lines_typed_ahead_or_pasted_are_all_sent() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    terminal.type_in("one\rtwo\r\rthree\r");
    terminal.type_in("\x1b[200~four\rfive\r\x1b[201~\r");
    for line in ["one", "two", "three", "four", "five"] {
        assert_eq!(bob.recv_text(), format!("[alice]: {line}"));
    }
}

#[test]
fn arrow_up_recalls_earlier_lines() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    terminal.type_in("first\r");
    terminal.type_in("second\r");
    assert_eq!(
        (bob.recv_text(), bob.recv_text()),
        ("[alice]: first".into(), "[alice]: second".into())
    );
    terminal.type_in(&format!("{UP}{UP} again\r"));
    assert_eq!(bob.recv_text(), "[alice]: first again");
}

#[test]
fn ctrl_d_ctrl_c_and_quit_leave_the_chat() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for keys in [CTRL_D, "/quit\r", CTRL_C] {
        let mut bob = server.client();
        let mut terminal = Terminal::join(server.address, "alice");
        terminal.type_in(keys);
        assert_eq!(terminal.wait_for_exit().code(), Some(0), "{keys:?}");
        // The client closed its connection before it exited, so the user has left.
        bob.send_text("/who");
        assert!(bob.recv_text().starts_with("* 1 user here"), "{keys:?}");
        bob.close();
    }
}

#[test]
fn replies_to_commands_are_printed_above_the_prompt() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::join(server.address, "alice");
    let mut bob = server.client();
    terminal.type_in("/help\r");
    terminal.wait_for("* /quit: leave");
    terminal.type_in("/dance\r");
    terminal.wait_for("* There is no command /dance.");
    terminal.type_in("/w user1 psst\r");
    terminal.wait_for("[you whisper to user1]: psst");
    assert_eq!(bob.recv_text(), "[alice whispers]: psst");
    terminal.type_in("/me waves\r");
    terminal.wait_for("[alice]\x1b[0m waves");
}

#[test]
fn hostile_events_never_control_the_terminal() {
    let _watchdog = watchdog(60);
    let (address, server) = fake_server::serve(|mut socket| {
        let hostile = r"\u001b[2J\u001b]0;title\u0007\u009b31m\r\nforged";
        for event in [
            r#"{"type":"welcome","name":"HOSTILE","users":1}"#,
            r#"{"type":"message","from":"HOSTILE","text":"HOSTILE"}"#,
            r#"{"type":"whisper","from":"HOSTILE","to":"HOSTILE","text":"HOSTILE"}"#,
            r#"{"type":"joined","name":"HOSTILE","users":1}"#,
            r#"{"type":"renamed","from":"HOSTILE","to":"HOSTILE"}"#,
            // The client does not show the first list, for which it asked itself.
            r#"{"type":"who","names":["HOSTILE"],"users":1}"#,
            r#"{"type":"who","names":["HOSTILE"],"users":1}"#,
            r#"{"type":"help","text":"HOSTILE"}"#,
            r#"{"type":"error","text":"HOSTILE last event"}"#,
        ] {
            let event = event.replace("HOSTILE", hostile);
            socket.send(Message::text(event)).expect("the client reads");
        }
        while socket.read().is_ok() {}
    });
    let mut terminal = Terminal::start(&[&url(address)]);
    terminal.wait_for("forged last event");
    // Without a prompt the terminal is not in raw mode, and Ctrl-D is not read as a key.
    terminal.wait_for("> ");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    let output = terminal.output();
    for sequence in ["\x1b[2J", "\x1b]", "\x07", "\u{9b}", "\nforged"] {
        assert!(!output.contains(sequence), "{sequence:?} in {output:?}");
    }
    server.join().expect("the server's assertions hold");
}

#[test]
fn no_color_is_honoured() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let environment = [("TERM", "xterm"), ("NO_COLOR", "1")];
    let mut terminal = Terminal::start_with(&[&url(server.address)], &environment);
    terminal.wait_for("user0> ");
    server.client().send_text("plain");
    terminal.wait_for("[user1]: plain");
    let output = terminal.output();
    // A sequence that sets a colour ends in m; one that moves the cursor does not.
    let coloured = output.split("\x1b[").skip(1).any(|sequence| {
        sequence
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            .starts_with('m')
    });
    assert!(!coloured, "{output:?}");
}

#[test]
fn dumb_terminal_gets_plain_lines() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut terminal = Terminal::start_with(&[&url(server.address)], &[("TERM", "dumb")]);
    terminal.wait_for("You are connected!");
    terminal.type_in("hello\n");
    terminal.wait_for("[user0]: hello");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    assert!(
        !terminal.output().contains('\x1b'),
        "{:?}",
        terminal.output()
    );
}

#[test]
fn client_reconnects_and_keeps_its_name() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let address = server.address;
    let mut terminal = Terminal::start(&[&url(address)]);
    terminal.wait_for("user0> ");
    terminal.type_in("/nick alice\r");
    terminal.wait_for("alice> ");
    terminal.type_in("a draft");
    terminal.wait_for("a draft");
    server.shutdown().expect("the server stops");
    terminal.wait_for("* Disconnected: ");
    terminal.wait_for("alice> a draft");
    terminal.type_in("\r");
    terminal.wait_for("* Not sent: not connected.");
    terminal.wait_for("* Still disconnected: can't connect");

    let server = TestServer::with_config(Config {
        listen: vec![address.into()],
        ..config()
    });
    terminal.wait_for("* Reconnected.");
    terminal.wait_for("* You are alice.");
    let mut bob = server.client();
    terminal.type_in(&format!("{UP}\r"));
    assert_eq!(bob.recv_text(), "[alice]: a draft");
    bob.close();

    server.shutdown().expect("the server stops");
    terminal.wait_for("* Disconnected: ");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
}

#[test]
fn unreachable_server_at_startup_is_an_error() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let address = server.address;
    server.shutdown().expect("the server stops");
    let mut terminal = Terminal::start(&[&url(address)]);
    assert_eq!(terminal.wait_for_exit().code(), Some(1));
    terminal.wait_for("threadchat-client: can't connect to 127.0.0.1");
}
