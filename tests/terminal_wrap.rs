//! The terminal client wraps long lines so that the end of a text does not look like a line of its own.

#![cfg(feature = "client")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::{TestServer, watchdog};

#[test]
fn continuation_lines_of_a_message_are_indented() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut sender = server.client();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).expect("a pseudo-terminal is free");
    grantpt(&terminal).expect("the pseudo-terminal is ours");
    unlockpt(&terminal).expect("the pseudo-terminal is ours");
    let side = ioctl_tiocgptpeer(&terminal, flags).expect("the other side opens");
    let size = Winsize {
        ws_row: 24,
        ws_col: 40,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&side, size).expect("the size is valid");
    let duplicate = || side.try_clone().expect("a descriptor is free");
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat-client"))
        .args([
            "--no-time",
            "--name",
            "al",
            &format!("ws://{}/chat", server.address),
        ])
        .envs([("TERM", "xterm"), ("NO_COLOR", "1")])
        .stdin(duplicate())
        .stdout(duplicate())
        .stderr(duplicate())
        .spawn()
        .expect("the client starts");
    let mut keys = File::from(terminal);
    let mut screen = keys.try_clone().expect("a descriptor is free");
    let mut shown = String::new();
    let mut wait_for = |text: &str| {
        let mut part = [0; 4096];
        while !shown.contains(text) {
            let n = screen.read(&mut part).expect("the terminal is open");
            shown += &String::from_utf8_lossy(&part[..n]);
        }
    };
    wait_for("al> ");
    // The row has 40 columns, of which the sender's name takes 9.
    sender.send_text(&format!("{}* The server stops.", "x".repeat(31)));
    let rows = format!("[user0]: {}\r\n    * The server stops.", "x".repeat(31));
    wait_for(&rows);
    keys.write_all(b"\x04").expect("the terminal is open");
    // Reads the rest, because the client waits for its terminal.
    thread::spawn(move || screen.read_to_end(&mut Vec::new()));
    assert!(child.wait().expect("the client is our child").success());
}
