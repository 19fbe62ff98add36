//! The terminal client without a terminal: a filter from stdin to the chat and from the chat to stdout.

#![forbid(unsafe_code)]
#![cfg(feature = "client")]

#[path = "support/filter.rs"]
mod filter;
mod support;

use std::io::Write;
use std::sync::mpsc;

use filter::{Filter, success, url};
use support::{TestServer, fake_server, watchdog};
use tungstenite::Message;
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

#[test]
fn exit_waits_until_every_line_has_been_broadcast() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    let input: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
    filter.write(&(input.join("\n") + "\n"));
    filter.input = None;
    let lines = filter.read_to_end();
    let expected: Vec<String> = input
        .iter()
        .map(|line| format!("[user0]: {line}"))
        .collect();
    assert_eq!(lines.len(), 1000, "{:?}", lines.last());
    assert_eq!(lines, expected);
    assert_eq!(filter.wait(), success());
}

#[test]
fn output_is_the_plain_text_dialect() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    let mut plain = server.client();
    // Joins and leaves are not announced in plain text.
    server.client().close();
    filter.write(
        "hi\r\n/me waves\n//x\n\n/nick bob\n/w user1 psst\n/w BOB self\n/who\n/w nobody x\n",
    );
    for line in [
        "[user0]: hi",
        "[user0] waves",
        "[user0]: /x",
        "[user0]: ",
        "* user0 is now bob.",
    ] {
        assert_eq!(
            (filter.read_line().as_str(), plain.recv_text().as_str()),
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
        assert_eq!(filter.read_line(), line);
    }
    plain.send_text("/w bob psst");
    assert_eq!(filter.read_line(), "[user1 whispers]: psst");

    filter.write("/help");
    filter.input = None;
    let lines = filter.read_to_end();
    assert_eq!(lines[0], "* /nick NAME: change your name to NAME");
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(filter.wait(), success());
}

#[test]
fn unknown_command_is_sent_to_the_server_and_its_answer_is_printed() {
    let _watchdog = watchdog(60);
    let (address, server) = fake_server::serve(|mut socket| {
        let line = socket.read().expect("the filter sends a line");
        let expected = r#"{"type":"line","text":"/roll  2d6 "}"#;
        assert_eq!(line, Message::text(expected));
        for answer in [
            r#"{"type":"action","from":"user0","text":"rolls 7"}"#,
            r#"{"type":"error","text":"The dice are gone."}"#,
        ] {
            socket
                .send(Message::text(answer))
                .expect("the client reads");
        }
        assert_eq!(fake_server::accept_close(&mut socket), [""; 0]);
    });
    let mut filter = Filter::start(&[&url(address)]);
    filter.write("/roll  2d6 \n");
    assert_eq!(filter.read_line(), "[user0] rolls 7");
    assert_eq!(filter.read_line(), "* The dice are gone.");
    filter.write("/nick\n");
    assert_eq!(filter.read_line(), "* That needs a name: /nick NAME");
    filter.input = None;
    assert_eq!(filter.wait(), success());
    server.join().expect("the server's assertions hold");
}

/// The server answers the first line of each pair, the filter the second one itself.
#[test]
fn answers_and_refusals_are_in_the_order_of_the_lines() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::start(&[&url(server.address)]);
    filter.write(&"/dance\n/nick\nhello\n/w bob\n".repeat(50));
    filter.input = None;
    let lines = filter.read_to_end();
    assert!(lines[0].starts_with("You are connected!"), "{lines:?}");
    let answers = [
        "* There is no command /dance. /help lists those there are.",
        "* That needs a name: /nick NAME",
        "[user0]: hello",
        "* That needs a text: /whisper bob TEXT",
    ];
    assert_eq!(lines[1..], answers.repeat(50));
    assert_eq!(filter.wait(), success());
}

#[test]
fn quit_ignores_the_rest_of_the_input() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    filter.write("bye\n/quit\nnot said\n");
    assert_eq!(filter.read_to_end(), ["[user0]: bye"]);
    assert_eq!(filter.wait(), success());
}

#[test]
fn broken_pipe_is_a_normal_exit() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    filter.output = None;
    server.client().send_text("is anybody reading?");
    assert_eq!(filter.wait(), success());
}

#[test]
fn name_option_requests_a_name_and_a_rejection_is_printed() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let url = url(server.address);
    let mut first = Filter::start(&["--name", "alice", &url]);
    assert_eq!(
        first.read_line(),
        "You are connected! There are 1 users here."
    );
    let mut second = Filter::start(&[&url, "--name=ALICE"]);
    assert_eq!(
        second.read_line(),
        "You are connected! There are 2 users here."
    );
    let rejection = second.read_line();
    assert!(
        rejection.starts_with("* You can't be called \"ALICE\": it is taken"),
        "{rejection}"
    );
    first.write("me\n");
    assert_eq!(
        (first.read_line(), second.read_line()),
        ("[alice]: me".into(), "[alice]: me".into())
    );
    first.input = None;
    second.input = None;
    assert_eq!((first.wait(), second.wait()), (success(), success()));
}

#[test]
fn slow_reading_server_does_not_block_receiving() {
    const MESSAGES: usize = 2000;
    let _watchdog = watchdog(60);
    // The messages exceed the sockets' buffers, and the server reads nothing until the filter has received all of them.
    let long = "x".repeat(8000);
    let message = format!(r#"{{"type":"message","from":"server","text":"{long}"}}"#);
    let (address, server) = fake_server::serve(move |mut socket| {
        for _ in 0..MESSAGES {
            socket
                .send(Message::text(&message))
                .expect("the client reads");
        }
        assert_eq!(fake_server::accept_close(&mut socket).len(), MESSAGES);
    });
    let mut filter = Filter::start(&[&url(address)]);
    let mut input = filter.input.take().expect("stdin is open");
    let line = long + "\n";
    let writer = std::thread::spawn(move || {
        for _ in 0..MESSAGES {
            input.write_all(line.as_bytes()).expect("the filter reads");
        }
    });
    assert_eq!(filter.read_to_end().len(), MESSAGES);
    assert_eq!(filter.wait(), success());
    writer.join().expect("the filter read all lines");
    server.join().expect("the server's assertions hold");
}

#[test]
fn unprocessed_bytes_are_bounded() {
    const LINES: usize = 50_000;
    let _watchdog = watchdog(60);
    let (address, server) = fake_server::serve(|mut socket| {
        let (mut messages, mut unprocessed) = (0, 0);
        while let Ok(message) = socket.read() {
            match message {
                Message::Text(text) if text.contains(r#""help""#) => {
                    assert!(unprocessed < 256 << 10, "{unprocessed} bytes");
                    unprocessed = 0;
                    let help = r#"{"type":"help","text":""}"#;
                    socket.send(Message::text(help)).expect("the client reads");
                }
                Message::Text(text) => {
                    unprocessed += text.len();
                    messages += 1;
                }
                _ => {}
            }
        }
        assert_eq!((messages, unprocessed), (LINES, 0));
    });
    let mut filter = Filter::start(&[&url(address)]);
    filter.write(&"a line of the input\n".repeat(LINES));
    filter.input = None;
    assert_eq!(filter.wait(), success());
    server.join().expect("the server's assertions hold");
}

#[test]
fn pings_are_answered() {
    let _watchdog = watchdog(60);
    let (reply_sender, reply) = mpsc::channel();
    let (address, server) = fake_server::serve(move |mut socket| {
        socket
            .send(Message::Ping("here?".into()))
            .expect("the client reads");
        reply_sender
            .send(socket.read().expect("the filter replies"))
            .expect("the test waits");
        fake_server::accept_close(&mut socket);
    });
    let mut filter = Filter::start(&[&url(address)]);
    assert_eq!(reply.recv(), Ok(Message::Pong("here?".into())));
    filter.input = None;
    assert_eq!(filter.wait(), success());
    server.join().expect("the server's assertions hold");
}

#[test]
fn hostile_events_are_printed_without_control_characters() {
    let _watchdog = watchdog(60);
    let hostile = r"\u001b[2J\u009b31m\r\nforged\u202e";
    let (address, server) = fake_server::serve(move |mut socket| {
        for event in [
            format!(r#"{{"type":"message","from":"{hostile}","text":"{hostile}"}}"#),
            format!(r#"{{"type":"error","text":"{hostile}"}}"#),
            format!(r#"{{"type":"who","names":["{hostile}"],"users":1}}"#),
            r#"{"type":"unknown"}"#.to_owned(),
            "not JSON".to_owned(),
        ] {
            socket.send(Message::text(event)).expect("the client reads");
        }
        let close = CloseFrame {
            code: CloseCode::Policy,
            reason: "\u{1b}[2J\u{9b}31m\r\nforged".into(),
        };
        socket.close(Some(close)).expect("the client reads");
        while socket.read().is_ok() {}
    });
    let mut filter = Filter::start(&[&url(address)]);
    let lines = filter.read_to_end();
    let (code, error) = filter.wait();
    assert_eq!(
        (lines.len(), code, error.matches('\n').count()),
        (3, Some(1), 1),
        "{lines:?}"
    );
    for line in lines.iter().map(String::as_str).chain([error.trim_end()]) {
        assert!(line.contains("forged"), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
    server.join().expect("the server's assertions hold");
}
