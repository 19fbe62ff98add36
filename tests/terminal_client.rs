//! The terminal client at a real pseudo-terminal.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::{TIMEOUT, TestServer, config, eventually, fake_server, watchdog};
use threadchat::Config;
use tungstenite::Message;

const UP: &str = "\x1b[A";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

struct Terminal {
    child: Child,
    keys: File,
    /// Every byte that came to the terminal.
    output: Arc<Mutex<Vec<u8>>>,
    /// Where the next condition begins.
    seen: usize,
}

impl Terminal {
    fn start(args: &[&str]) -> Terminal {
        Terminal::start_with(args, &[("TERM", "xterm")])
    }

    fn start_with(args: &[&str], environment: &[(&str, &str)]) -> Terminal {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&keys).expect("ours");
        unlockpt(&keys).expect("ours");
        let side = ioctl_tiocgptpeer(&keys, OpenptFlags::RDWR | OpenptFlags::NOCTTY);
        let side: OwnedFd = side.expect("the other side");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&side, size).expect("a terminal");
        let another = || side.try_clone().expect("a descriptor is free");
        let child = Command::new(env!("CARGO_BIN_EXE_threadchat-client"))
            .args(args)
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(another())
            .stdout(another())
            .stderr(another())
            .spawn()
            .expect("it can be run");
        let keys = File::from(keys);
        let mut screen = keys.try_clone().expect("a descriptor is free");
        let output = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&output);
        thread::spawn(move || {
            let mut part = [0; 4096];
            // An error when the other side is closed.
            while let Ok(n @ 1..) = screen.read(&mut part) {
                written
                    .lock()
                    .expect("nobody panics")
                    .extend_from_slice(&part[..n]);
            }
        });
        Terminal {
            child,
            keys,
            output,
            seen: 0,
        }
    }

    /// In the chat of this server, called this.
    fn join(address: SocketAddr, name: &str) -> Terminal {
        let mut terminal = Terminal::start(&["--name", name, &url(address)]);
        terminal.shows(&format!("{name}> "));
        terminal
    }

    fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it is open");
    }

    fn all(&self) -> String {
        let output = self.output.lock().expect("nobody panics");
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until this is shown, behind all that was waited for before.
    fn shows(&mut self, text: &str) {
        let end = Instant::now() + TIMEOUT;
        loop {
            let all = self.all();
            if let Some(at) = all[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let rest = &all[self.seen..];
            assert!(Instant::now() < end, "{text:?} isn't shown, but {rest:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/chat")
}

#[test]
fn the_own_name_is_in_the_prompt_and_follows_a_rename() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::start(&[&url(host.address)]);
    terminal.shows("You are user0.");
    terminal.shows("user0> ");
    terminal.type_in("/nick alice\r");
    terminal.shows("* user0 is now alice.");
    terminal.shows("alice> ");
    terminal.type_in("/nick no good\r");
    terminal.shows("* You can't be called \"no good\"");
    terminal.shows("alice> ");
}

#[test]
fn a_line_being_typed_survives_what_arrives() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::join(host.address, "alice");
    let mut bob = host.client();
    terminal.shows("* user1 has joined. Users here: 2.");
    terminal.type_in("half of ");
    terminal.shows("half of ");
    bob.send_text("an interruption");
    terminal.shows("[user1]\x1b[0m: an interruption");
    // Drawn anew below it, and still being edited.
    terminal.shows("alice> half of ");
    terminal.type_in("a line\r");
    assert_eq!(bob.recv_text(), "[user1]: an interruption");
    assert_eq!(bob.recv_text(), "[alice]: half of a line");
    bob.close();
    terminal.shows("* user1 has left. Users here: 1.");
}

#[test]
fn everything_typed_ahead_or_pasted_is_said() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::join(host.address, "alice");
    let mut bob = host.client();
    terminal.type_in("one\rtwo\r\rthree\r");
    terminal.type_in("\x1b[200~four\rfive\r\x1b[201~\r");
    for line in ["one", "two", "three", "four", "five"] {
        assert_eq!(bob.recv_text(), format!("[alice]: {line}"));
    }
}

#[test]
fn arrow_up_brings_back_what_was_typed() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::join(host.address, "alice");
    let mut bob = host.client();
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
fn there_are_three_ways_to_leave() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    for keys in [CTRL_D, "/quit\r", CTRL_C] {
        let mut bob = host.client();
        let mut terminal = Terminal::join(host.address, "alice");
        terminal.type_in(keys);
        assert_eq!(terminal.exit().code(), Some(0), "{keys:?}");
        // It has said goodbye, so it is gone.
        bob.send_text("/who");
        assert!(bob.recv_text().starts_with("* 1 user here"), "{keys:?}");
        bob.close();
    }
}

#[test]
fn commands_are_answered_above_the_prompt() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::join(host.address, "alice");
    let mut bob = host.client();
    terminal.type_in("/help\r");
    terminal.shows("* /quit: leave");
    terminal.type_in("/dance\r");
    terminal.shows("* There is no command /dance.");
    terminal.type_in("/w user1 psst\r");
    terminal.shows("[you whisper to user1]: psst");
    assert_eq!(bob.recv_text(), "[alice whispers]: psst");
    terminal.type_in("/me waves\r");
    terminal.shows("[alice]\x1b[0m waves");
}

#[test]
fn nothing_that_a_server_says_drives_the_terminal() {
    let _watchdog = watchdog(60);
    let (address, server) = fake_server::serve(|mut socket| {
        let hostile = r"\u001b[2J\u001b]0;title\u0007\u009b31m\r\nforged";
        for told in [
            r#"{"type":"welcome","name":"HOSTILE","users":1}"#,
            r#"{"type":"message","from":"HOSTILE","text":"HOSTILE"}"#,
            r#"{"type":"whisper","from":"HOSTILE","to":"HOSTILE","text":"HOSTILE"}"#,
            r#"{"type":"joined","name":"HOSTILE","users":1}"#,
            r#"{"type":"renamed","from":"HOSTILE","to":"HOSTILE"}"#,
            r#"{"type":"who","names":["HOSTILE"],"users":1}"#,
            r#"{"type":"help","text":"HOSTILE"}"#,
            r#"{"type":"error","text":"HOSTILE end of it"}"#,
        ] {
            let told = told.replace("HOSTILE", hostile);
            socket.send(Message::text(told)).expect("it reads");
        }
        while socket.read().is_ok() {}
    });
    let mut terminal = Terminal::start(&[&url(address)]);
    terminal.shows("forged end of it");
    // Before the prompt, Ctrl-D isn't a key.
    terminal.shows("> ");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.exit().code(), Some(0));
    let all = terminal.all();
    for driven in ["\x1b[2J", "\x1b]", "\x07", "\u{9b}", "\nforged"] {
        assert!(!all.contains(driven), "{driven:?} in {all:?}");
    }
    server.join().expect("the server was content");
}

#[test]
fn no_color_is_honoured() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let environment = [("TERM", "xterm"), ("NO_COLOR", "1")];
    let mut terminal = Terminal::start_with(&[&url(host.address)], &environment);
    terminal.shows("user0> ");
    host.client().send_text("plain");
    terminal.shows("[user1]: plain");
    let all = terminal.all();
    // What sets a colour ends in m; what moves the cursor doesn't.
    let coloured = all.split("\x1b[").skip(1).any(|sequence| {
        sequence
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            .starts_with('m')
    });
    assert!(!coloured, "{all:?}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_served_in_lines() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut terminal = Terminal::start_with(&[&url(host.address)], &[("TERM", "dumb")]);
    terminal.shows("You are connected!");
    terminal.type_in("hello\n");
    terminal.shows("[user0]: hello");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.exit().code(), Some(0));
    assert!(!terminal.all().contains('\x1b'), "{:?}", terminal.all());
}

#[test]
fn a_server_that_comes_back_is_found_again_and_the_name_kept() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let address = host.address;
    let mut terminal = Terminal::start(&[&url(address)]);
    terminal.shows("user0> ");
    terminal.type_in("/nick alice\r");
    terminal.shows("alice> ");
    terminal.type_in("a draft");
    terminal.shows("a draft");
    host.shutdown().expect("it stops");
    terminal.shows("* Disconnected: ");
    terminal.shows("alice> a draft");
    terminal.type_in("\r");
    terminal.shows("* That was not sent: there is no connection.");
    terminal.shows("* Still disconnected: can't connect");

    let host = TestServer::with_config(Config {
        listen: address,
        ..config()
    });
    terminal.shows("* Connected again.");
    terminal.shows("* You are alice.");
    let mut bob = host.client();
    terminal.type_in(&format!("{UP}\r"));
    assert_eq!(bob.recv_text(), "[alice]: a draft");
    bob.close();

    host.shutdown().expect("it stops");
    terminal.shows("* Disconnected: ");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.exit().code(), Some(0));
}

#[test]
fn no_server_at_the_start_is_an_error() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let address = host.address;
    host.shutdown().expect("it stops");
    let mut terminal = Terminal::start(&[&url(address)]);
    assert_eq!(terminal.exit().code(), Some(1));
    terminal.shows("threadchat-client: can't connect to 127.0.0.1");
}
