//! The terminal client without a terminal: lines in, lines out.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use support::{Client, TestServer, config, fake_server, watchdog};
use threadchat::Config;
use tungstenite::Message;
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

struct Filter {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

type End = (Option<i32>, String); // The exit code, and what was said on stderr.

impl Filter {
    fn start(args: &[&str]) -> Filter {
        let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat-client"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        Filter {
            input: child.stdin.take(),
            output: child.stdout.take().map(BufReader::new),
            child,
        }
    }

    /// In the chat, with the greeting read.
    fn join(address: SocketAddr) -> Filter {
        let mut filter = Filter::start(&[&url(address)]);
        let greeting = filter.line();
        assert!(greeting.starts_with("You are connected!"), "{greeting}");
        filter
    }

    fn say(&mut self, lines: &str) {
        let input = self.input.as_mut().expect("is open");
        input.write_all(lines.as_bytes()).expect("it reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().expect("is open");
        output.read_line(&mut line).expect("UTF-8");
        line.trim_end_matches('\n').to_owned()
    }

    /// Up to the end of the output.
    fn lines(&mut self) -> Vec<String> {
        let output = self.output.take().expect("is open");
        output.lines().map(|line| line.expect("UTF-8")).collect()
    }

    fn end(&mut self) -> End {
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("is piped");
        stderr.read_to_string(&mut errors).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), errors)
    }

    /// What it says in one line when it can't even begin, and its exit code.
    fn refused(args: &[&str]) -> (Option<i32>, String) {
        let mut filter = Filter::start(args);
        let (code, said) = filter.end();
        assert_eq!(said.matches('\n').count(), 1, "{said:?}");
        let said = said.trim_end().strip_prefix("threadchat-client: ");
        (code, said.expect("it says who speaks").to_owned())
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/chat")
}

fn left() -> End {
    (Some(0), String::new())
}

#[test]
fn everything_said_has_come_back_before_it_ends() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    let said: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
    filter.say(&(said.join("\n") + "\n"));
    filter.input = None;
    let lines = filter.lines();
    let expected: Vec<String> = said.iter().map(|line| format!("[user0]: {line}")).collect();
    assert_eq!(lines.len(), 1000, "{:?}", lines.last());
    assert_eq!(lines, expected);
    assert_eq!(filter.end(), left());
}

#[test]
fn what_comes_out_is_the_plain_text_dialect() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    let mut plain = host.client();
    // Nobody is told who comes and goes.
    host.client().close();
    filter
        .say("hi\r\n/me waves\n//x\n\n/nick bob\n/w user1 psst\n/w BOB self\n/who\n/w nobody x\n");
    for line in [
        "[user0]: hi",
        "[user0] waves",
        "[user0]: /x",
        "[user0]: ",
        "* user0 is now bob.",
    ] {
        assert_eq!(
            (filter.line().as_str(), plain.recv_text().as_str()),
            (line, line)
        );
    }
    assert_eq!(plain.recv_text(), "[bob whispers]: psst");
    for line in [
        "[you whisper to user1]: psst",
        "[bob whispers]: self",
        "* 2 users here: bob, user1.",
        "* Nobody here is called nobody. /who tells who is here.",
    ] {
        assert_eq!(filter.line(), line);
    }
    plain.send_text("/w bob psst");
    assert_eq!(filter.line(), "[user1 whispers]: psst");

    filter.say("/dance\n/help");
    filter.input = None;
    let lines = filter.lines();
    assert_eq!(
        lines[0],
        "* There is no command /dance. /help lists those there are."
    );
    assert_eq!(lines[1], "* /nick NAME: be called NAME");
    assert_eq!(lines.len(), 8, "{lines:?}");
    assert_eq!(filter.end(), left());
}

#[test]
fn quit_leaves_although_the_input_goes_on() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    filter.say("bye\n/quit\nnot said\n");
    assert_eq!(filter.lines(), ["[user0]: bye"]);
    assert_eq!(filter.end(), left());
}

#[test]
fn a_broken_pipe_is_a_normal_end() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    filter.output = None;
    host.client().send_text("is anybody reading?");
    assert_eq!(filter.end(), left());
}

#[test]
fn a_name_is_asked_for_and_a_taken_one_is_refused_in_a_line() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let url = url(host.address);
    let mut first = Filter::start(&["--name", "alice", &url]);
    assert_eq!(first.line(), "You are connected! There are 1 users here.");
    let mut second = Filter::start(&[&url, "--name=ALICE"]);
    assert_eq!(second.line(), "You are connected! There are 2 users here.");
    let refusal = second.line();
    assert!(
        refusal.starts_with("* You can't be called \"ALICE\": it is taken"),
        "{refusal}"
    );
    first.say("me\n");
    assert_eq!(
        (first.line(), second.line()),
        ("[alice]: me".into(), "[alice]: me".into())
    );
    first.input = None;
    second.input = None;
    assert_eq!((first.end(), second.end()), (left(), left()));
}

#[test]
fn a_server_that_goes_ends_it_with_an_error() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    host.shutdown().expect("it stops");
    let (code, said) = filter.end();
    assert_eq!((code, said.matches('\n').count()), (Some(1), 1), "{said}");
    assert!(said.contains("the server closed the connection"), "{said}");

    let (address, server) = fake_server::serve(drop);
    let mut filter = Filter::start(&[&url(address)]);
    let (code, said) = filter.end();
    assert_eq!((code, said.matches('\n').count()), (Some(1), 1), "{said}");
    assert!(said.contains("the connection was lost"), "{said}");
    server.join().expect("the server was content");
}

#[test]
fn no_server_and_refusals_are_one_line() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let (code, said) = Filter::refused(&[&format!("ws://{}/nowhere", host.address)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("404") && said.contains("/chat"), "{said}");
    let (code, said) = Filter::refused(&[&format!("ws://{}/echo", host.address)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("threadchat.json"), "{said}");

    let host = TestServer::with_config(Config {
        max_connections: 1,
        ..config()
    });
    let address = host.address;
    let full = Client::join(address);
    let (code, said) = Filter::refused(&[&url(address)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("503") && said.contains("full"), "{said}");
    drop(full);
    host.shutdown().expect("it stops");
    let (code, said) = Filter::refused(&[&url(address)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("can't connect to 127.0.0.1"), "{said}");
}

#[test]
fn wrong_usage_is_one_line() {
    let _watchdog = watchdog(60);
    let (code, said) = Filter::refused(&["wss://chat.example/chat"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("socat") && said.contains("OPENSSL:chat.example:443"),
        "{said}"
    );
    for wrong in [
        "http://localhost/chat",
        "localhost:8080",
        "--nonsense",
        "--name",
    ] {
        assert_eq!(Filter::refused(&[wrong]).0, Some(2), "{wrong}");
    }
    let mut help = Filter::start(&["--help"]);
    assert!(help.lines().iter().any(|line| line.contains("--name NAME")));
    assert_eq!(help.end(), left());
}

#[test]
fn a_server_that_reads_late_is_heard_meanwhile() {
    const SAID: usize = 2000;
    let _watchdog = watchdog(60);
    // This doesn't fit into the sockets' buffers, and the server reads nothing before all of it was heard.
    let long = "x".repeat(8000);
    let message = format!(r#"{{"type":"message","from":"server","text":"{long}"}}"#);
    let (address, server) = fake_server::serve(move |mut socket| {
        for _ in 0..SAID {
            socket.send(Message::text(&message)).expect("it reads");
        }
        assert_eq!(fake_server::let_leave(&mut socket), SAID);
    });
    let mut filter = Filter::start(&[&url(address)]);
    let mut input = filter.input.take().expect("is open");
    let line = long + "\n";
    let said = std::thread::spawn(move || {
        for _ in 0..SAID {
            input.write_all(line.as_bytes()).expect("it reads");
        }
    });
    assert_eq!(filter.lines().len(), SAID);
    assert_eq!(filter.end(), left());
    said.join().expect("all was read");
    server.join().expect("the server was content");
}

#[test]
fn no_more_is_said_than_the_server_lets_wait_for_a_client() {
    const SAID: usize = 50_000;
    let _watchdog = watchdog(60);
    let (address, server) = fake_server::serve(|mut socket| {
        let (mut said, mut waits) = (0, 0);
        while let Ok(message) = socket.read() {
            match message {
                Message::Text(text) if text.contains(r#""help""#) => {
                    assert!(waits < 256 << 10, "{waits} bytes");
                    waits = 0;
                    let help = r#"{"type":"help","text":""}"#;
                    socket.send(Message::text(help)).expect("it reads");
                }
                Message::Text(text) => {
                    waits += text.len();
                    said += 1;
                }
                _ => {}
            }
        }
        assert_eq!((said, waits), (SAID, 0));
    });
    let mut filter = Filter::start(&[&url(address)]);
    filter.say(&"a line of the input\n".repeat(SAID));
    filter.input = None;
    assert_eq!(filter.end(), left());
    server.join().expect("the server was content");
}

#[test]
fn pings_are_answered() {
    let _watchdog = watchdog(60);
    let (answered, answer) = mpsc::channel();
    let (address, server) = fake_server::serve(move |mut socket| {
        socket
            .send(Message::Ping("here?".into()))
            .expect("it reads");
        answered
            .send(socket.read().expect("an answer"))
            .expect("the test waits");
        fake_server::let_leave(&mut socket);
    });
    let mut filter = Filter::start(&[&url(address)]);
    assert_eq!(answer.recv(), Ok(Message::Pong("here?".into())));
    filter.input = None;
    assert_eq!(filter.end(), left());
    server.join().expect("the server was content");
}

#[test]
fn what_a_hostile_server_says_is_plain_text() {
    let _watchdog = watchdog(60);
    let hostile = r"\u001b[2J\u009b31m\r\nforged\u202e";
    let (address, server) = fake_server::serve(move |mut socket| {
        for told in [
            format!(r#"{{"type":"message","from":"{hostile}","text":"{hostile}"}}"#),
            format!(r#"{{"type":"error","text":"{hostile}"}}"#),
            format!(r#"{{"type":"who","names":["{hostile}"],"users":1}}"#),
            r#"{"type":"from another century"}"#.to_owned(),
            "no JSON".to_owned(),
        ] {
            socket.send(Message::text(told)).expect("it reads");
        }
        let close = CloseFrame {
            code: CloseCode::Policy,
            reason: "\u{1b}[2J\u{9b}31m\r\nforged".into(),
        };
        socket.close(Some(close)).expect("it reads");
        while socket.read().is_ok() {}
    });
    let mut filter = Filter::start(&[&url(address)]);
    let lines = filter.lines();
    let (code, said) = filter.end();
    assert_eq!(
        (lines.len(), code, said.matches('\n').count()),
        (3, Some(1), 1),
        "{lines:?}"
    );
    for line in lines.iter().map(String::as_str).chain([said.trim_end()]) {
        assert!(line.contains("forged"), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
    server.join().expect("the server was content");
}

#[test]
fn endless_input_without_a_line_break_is_refused() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut filter = Filter::join(host.address);
    filter.say("first\n");
    filter.say(&"x".repeat(1 << 20));
    assert_eq!(filter.lines(), ["[user0]: first"]);
    let (code, said) = filter.end();
    assert_eq!(code, Some(1));
    assert!(said.contains("longer than 1048576 bytes"), "{said}");
}
