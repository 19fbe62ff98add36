//! A person who reads the log knows what happened.

mod support;

use std::io::Read;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::{Client, RawClient, ServerProcess, raw, watchdog};

#[test]
fn it_says_who_came_and_why_each_left() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&["--ping", "1"]);
    let mut client = Client::join(program.address);
    let address = client
        .socket
        .get_ref()
        .local_addr()
        .expect("it is connected");
    assert!(
        program
            .wait_for_log("came")
            .ends_with(&format!("user0 came from {address}; 1 here"))
    );
    client
        .socket
        .close(Some(tungstenite::protocol::CloseFrame {
            code: 1000.into(),
            reason: "bye".into(),
        }))
        .expect("it reads");
    while client.next_message().is_ok() {}
    let left = program.wait_for_log("user0 left");
    assert!(
        left.ends_with(&format!(
            "from {address}: closed by the client (1000); 0 here"
        )),
        "{left}"
    );

    drop(Client::join(program.address));
    assert!(program.wait_for_log("user1 left").contains("vanished"));

    for (name, frame, why) in [
        (
            "user2",
            raw::frame(0x83, b""),
            "protocol error (Encountered invalid opcode: 3)",
        ),
        (
            "user3",
            raw::frame(0x81, b"\xff"),
            "protocol error (text that is not UTF-8)",
        ),
        (
            "user4",
            raw::frame(0x81, &vec![b'x'; 65_537]),
            "message too big",
        ),
    ] {
        RawClient::upgraded(program.address, "/chat").send(&frame);
        assert!(
            program.wait_for_log(&format!("{name} left")).contains(why),
            "{why}"
        );
    }

    let silent = RawClient::upgraded(program.address, "/chat");
    assert!(program.wait_for_log("user5 left").contains("ping timeout"));
    drop(silent);

    let mut quits = Client::join(program.address);
    quits.send_text("/quit");
    assert_eq!(quits.expect_close(), 1000);
    assert!(program.wait_for_log("user6 quits").ends_with("0 stay"));
}

#[test]
fn nothing_a_client_sends_can_forge_a_line() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&["--log-level", "trace"]);
    let forged = "forged by a client";
    let mut client = Client::connect(program.address, "/chat?name=a%0Aforged%20by%20a%20client");
    client.recv_text();
    client.send_text(&format!("\n{forged}\u{1b}[2J"));
    client.recv_until(|text| text.contains("forged"));
    let mut raw = RawClient::connect(program.address);
    raw.send(format!("GET /\x0b{forged} HTTP/1.1\r\n\r\n").as_bytes());
    // It may be refused before it is read to its end.
    let _ = raw.rest();
    client.close();
    program.signal(Signal::TERM);
    program.wait();
    for line in program.remaining_log() {
        assert!(
            !line.starts_with(forged) && !line.contains('\u{1b}'),
            "{line:?}"
        );
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_chat() {
    let _watchdog = watchdog(120);
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--log-level", "trace"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    // The first line is read, for the port, and none after it.
    let mut log = child.stderr.take().expect("is piped");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        log.read_exact(&mut byte)
            .expect("it says where it responds");
        line.extend(byte);
    }
    let line = String::from_utf8(line).expect("UTF-8");
    let (_, address) = line.split_once("ws://").expect("it says where");
    let address = address
        .trim_end_matches("/chat\n")
        .parse()
        .expect("an address");
    let mut client = Client::join(address);
    // A pipe holds 64 KiB, and at this level each message is a line.
    for number in 0..2000 {
        client.send_text(&format!("{number} {}", "x".repeat(100)));
        assert!(
            client
                .recv_text()
                .starts_with(&format!("[user0]: {number} "))
        );
    }
    child.kill().expect("it runs");
    child.wait().expect("it is our child");
    drop(log);
}
