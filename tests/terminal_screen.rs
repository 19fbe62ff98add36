//! What the user of the terminal client sees: the draft and the messages above it.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/screen.rs"]
mod screen;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::thread;
use std::time::{Duration, Instant};

use screen::Screen;
use support::{TIMEOUT, TestServer, eventually, watchdog};
use terminal::{Terminal, url};

/// Written after the line has been drawn.
const DRAWN: &str = "\x1b[?2026l";

/// A terminal and the screen that shows its output.
struct Display {
    terminal: Terminal,
    screen: Screen,
    /// Bytes of the output that the screen shows.
    shown: usize,
}

impl Display {
    fn start(server: &TestServer, columns: u16) -> Display {
        let args = ["--no-time", "--name", "al", &url(server.address)];
        let mut terminal = Terminal::start_wide(&args, &[("TERM", "xterm")], columns);
        terminal.wait_for("al> ");
        Display {
            terminal,
            screen: Screen::new(columns.into()),
            shown: 0,
        }
    }

    /// Waits until the last rows are these. Empty rows at the end do not count.
    fn expect(&mut self, rows: &[String]) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.show();
            let shown = self.screen.text();
            let end = shown.iter().rposition(|row| !row.is_empty());
            let shown = &shown[..end.map_or(0, |end| end + 1)];
            if shown.ends_with(rows) {
                return;
            }
            assert!(Instant::now() < deadline, "{rows:#?} do not end {shown:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Changes the width, and waits until the client has drawn the line anew.
    fn resize(&mut self, columns: u16) {
        self.show();
        self.screen.resize(columns.into());
        let before = self.shown;
        self.terminal.resize(columns);
        eventually("the client draws the line", || {
            self.terminal.output()[before..].contains(DRAWN)
        });
    }

    /// Shows the output so far, without an unfinished character or sequence at its end.
    fn show(&mut self) {
        let output = self.terminal.output();
        let new = output[self.shown..].trim_end_matches('\u{fffd}');
        let is_end = |c: char| c != '[' && ('@'..='~').contains(&c);
        let end = match new.rfind('\x1b') {
            Some(at) if !new[at..].contains(is_end) => at,
            _ => new.len(),
        };
        self.screen.write(&new[..end]);
        self.shown += end;
    }
}

/// Returns the rows of these messages and a draft at this width.
fn rows(messages: &[&str], draft: &str, width: usize) -> Vec<String> {
    let messages = messages.iter().map(|&message| message.to_owned());
    let line: Vec<char> = format!("al> {draft}").trim_end().chars().collect();
    let draft = line.chunks(width).map(|row| row.iter().collect());
    messages.chain(draft).collect()
}

#[test]
fn wider_window_keeps_the_messages_above_a_long_draft() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut display = Display::start(&server, 40);
    let mut bob = server.client();
    let mut messages = vec!["* user1 joined. Users here: 2."];
    for message in ["one", "two", "three"] {
        bob.send_text(message);
    }
    messages.extend(["[user1]: one", "[user1]: two", "[user1]: three"]);
    display.expect(&rows(&messages, "", 40));
    let draft = "0123456789".repeat(13);
    display.terminal.type_in(&draft);
    display.expect(&rows(&messages, &draft, 40));
    for (width, message) in [(100, "four"), (111, "five"), (134, "six"), (200, "seven")] {
        display.resize(width);
        display.expect(&rows(&messages, &draft, width.into()));
        bob.send_text(message);
        let line = format!("[user1]: {message}");
        messages.push(line.leak());
        display.expect(&rows(&messages, &draft, width.into()));
    }
}

#[test]
fn narrower_window_keeps_the_messages_above_a_long_draft() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut display = Display::start(&server, 60);
    let mut bob = server.client();
    bob.send_text("one");
    let draft = "0123456789".repeat(13);
    display.terminal.type_in(&draft);
    display.expect(&rows(&["[user1]: one"], &draft, 60));
    for width in [50, 40, 30] {
        display.resize(width);
        // The beginning of the draft as it was wrapped before can stay above it.
        display.expect(&rows(&[], &draft, width.into()));
        let shown = display.screen.text();
        assert!(shown.iter().any(|row| row == "[user1]: one"), "{shown:#?}");
    }
}

#[test]
fn wide_characters_are_drawn_and_edited_at_their_width() {
    const HOME: &str = "\x1b[H";
    const BACKSPACE: &str = "\x7f";
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut display = Display::start(&server, 20);
    let mut bob = server.client();
    // The prompt takes four columns, and a wide character does not fit into the last one of the first row.
    display.terminal.type_in("1日本語日本語日本語");
    let draft = ["al> 1日本語日本語日", "本語"].map(str::to_owned);
    display.expect(&draft);
    bob.send_text("日本語日本語");
    let message = ["[user1]: 日本語日本", "    語"].map(str::to_owned);
    display.expect(&[message.as_slice(), draft.as_slice()].concat());
    display.terminal.type_in(&format!("{BACKSPACE}{HOME}🐎"));
    let draft = ["al> 🐎1日本語日本語", "日本"].map(str::to_owned);
    display.expect(&[message.as_slice(), draft.as_slice()].concat());
    display.terminal.type_in("e\u{301}\r");
    assert_eq!(bob.recv_text(), "[user1]: 日本語日本語");
    assert_eq!(bob.recv_text(), "[al]: 🐎e\u{301}1日本語日本語日本");
}
