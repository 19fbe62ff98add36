//! The log: joins, disconnect reasons, no forged lines, and no wait for its reader.

mod support;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::cases::{RESERVED_OPCODE, TEXT};
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

#[test]
fn logs_joins_and_disconnect_reasons() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut client = Client::join(server.address);
    let address = client
        .socket
        .get_ref()
        .local_addr()
        .expect("the socket is connected");
    assert!(
        server
            .wait_for_log("joined")
            .ends_with(&format!("user0 joined from {address} (1 users)"))
    );
    client
        .socket
        .close(Some(tungstenite::protocol::CloseFrame {
            code: 1000.into(),
            reason: "bye".into(),
        }))
        .expect("the server is reading");
    while client.next_message().is_ok() {}
    let left = server.wait_for_log("user0 left");
    assert!(
        left.ends_with(&format!(
            "from {address}: closed by the client (1000); 0 users"
        )),
        "{left}"
    );

    drop(Client::join(server.address));
    assert!(
        server
            .wait_for_log("user1 left")
            .contains("connection lost")
    );

    for (name, frame, reason) in [
        (
            "user2",
            raw::frame(RESERVED_OPCODE, b""),
            "protocol error (Encountered invalid opcode: 3)",
        ),
        (
            "user3",
            raw::frame(TEXT, b"\xff"),
            "protocol error (text is not UTF-8)",
        ),
        (
            "user4",
            raw::frame(TEXT, &vec![b'x'; 65_537]),
            "message too big",
        ),
    ] {
        RawClient::upgraded(server.address, "/chat").send(&frame);
        assert!(
            server
                .wait_for_log(&format!("{name} left"))
                .contains(reason),
            "{name}: {reason}"
        );
    }

    let mut quits = Client::join(server.address);
    quits.send_text("/quit");
    assert_eq!(quits.expect_close(), 1000);
    assert!(server.wait_for_log("user5 quit").ends_with("(0 users)"));

    let mut server = ServerProcess::start(&["--ping", "1"]);
    let silent = RawClient::upgraded(server.address, "/chat");
    assert!(server.wait_for_log("user0 left").contains("ping timeout"));
    drop(silent);
}

#[test]
fn client_input_cannot_forge_a_line() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&["--log-level", "trace"]);
    let forged = "forged by a client";
    let mut client = Client::connect(server.address, "/chat?name=a%0Aforged%20by%20a%20client");
    client.recv_text();
    client.send_text(&format!("\n{forged}\u{1b}[2J"));
    client.recv_until(|text| text.contains("forged"));
    let mut raw = RawClient::connect(server.address);
    raw.send(format!("GET /\x0b{forged} HTTP/1.1\r\n\r\n").as_bytes());
    // The server can reject the request and reset the connection before it has read all of it.
    let _ = raw.rest();
    client.close();
    server.signal(Signal::TERM);
    server.wait();
    for line in server.remaining_log() {
        assert!(
            !line.starts_with(forged) && !line.contains('\u{1b}'),
            "{line:?}"
        );
    }
}

/// Starts a server that logs every message to a pipe. Reads only the first line, which contains the address.
fn start_with_unread_log() -> (Child, ChildStderr, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--log-level", "trace"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be started");
    let mut log = child.stderr.take().expect("stderr is piped");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        log.read_exact(&mut byte).expect("the log has a first line");
        line.extend(byte);
    }
    let line = String::from_utf8(line).expect("the text is UTF-8");
    let (_, address) = line.split_once("ws://").expect("the line contains the URL");
    let address = address
        .trim_end_matches("/chat\n")
        .parse()
        .expect("the URL contains a socket address");
    (child, log, address)
}

/// Sends more messages than the pipe has room for: a pipe holds 64 KiB.
fn fill_log(client: &mut Client) {
    for number in 0..2000 {
        client.send_text(&format!("{number} {}", "x".repeat(100)));
        assert!(
            client
                .recv_text()
                .starts_with(&format!("[user0]: {number} "))
        );
    }
}

#[test]
fn unread_log_does_not_block_the_chat() {
    let _watchdog = watchdog(120);
    let (mut child, log, address) = start_with_unread_log();
    fill_log(&mut Client::join(address));
    child.kill().expect("the server is running");
    child.wait().expect("the server is a child process");
    drop(log);
}

#[test]
fn second_signal_waits_a_second_for_the_log() {
    let _watchdog = watchdog(120);
    let (mut child, log, address) = start_with_unread_log();
    let mut client = Client::join(address);
    fill_log(&mut client);
    let (pid, start) = (rustix::process::Pid::from_child(&child), Instant::now());
    let mut status = None;
    // The client does not reply to the Close.
    eventually("the server exits", || {
        rustix::process::kill_process(pid, Signal::TERM).expect("the server is running");
        status = child.try_wait().expect("the server is a child process");
        status.is_some()
    });
    let elapsed = start.elapsed();
    assert_eq!(status.and_then(|status| status.code()), Some(130));
    // Half a second in which a signal counts as the first, and a second in which nothing is written.
    assert!(elapsed >= Duration::from_millis(1500), "{elapsed:?}");
    drop((client, log));
}

#[test]
fn sighup_reopens_the_log_file_and_does_nothing_else() {
    let _watchdog = watchdog(60);
    let path = std::env::temp_dir().join(format!("threadchat-hup-{}.log", std::process::id()));
    let renamed = path.with_extension("log.1");
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--log-file"])
        .arg(&path)
        .spawn()
        .expect("the server can be started");
    let signal = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal)
            .expect("the server is running");
    };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    eventually("the server listens", || read(&path).ends_with("/chat\n"));
    let log = read(&path);
    let address = log
        .split("ws://")
        .nth(1)
        .and_then(|rest| rest.split('/').next()?.parse().ok())
        .expect("the line contains the address");
    let mut client = Client::join(address);
    eventually("the join is logged", || {
        read(&path).contains("user0 joined")
    });

    fs::rename(&path, &renamed).expect("the log file can be renamed");
    signal(Signal::HUP);
    // The new file exists a moment before it is in use.
    eventually("the new log file is in use", || {
        Client::join(address).close();
        !read(&path).is_empty()
    });
    let mut late = Client::connect(address, "/chat?name=late");
    late.recv_text();
    late.close();
    client.send_text("hello");
    client.recv_until(|text| text == "[user0]: hello");
    eventually("the new file has the later lines", || {
        read(&path).contains("late left")
    });
    assert!(!read(&renamed).contains("late"));
    assert!(!read(&path).contains("user0"));

    signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    let status = child.wait().expect("the server is a child process");
    assert_eq!(status.code(), Some(0));
    assert!(read(&path).ends_with("stopped\n"));
    for path in [path, renamed] {
        fs::remove_file(path).expect("the log file is removable");
    }
}

#[test]
fn sighup_without_a_log_file_does_nothing() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut client = Client::join(server.address);
    for _ in 0..100 {
        server.signal(Signal::HUP);
        client.send_text("hello");
        assert_eq!(client.recv_text(), "[user0]: hello");
    }
    server.signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn renames_and_rooms_are_logged() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut client = Client::connect(server.address, "/chat/lobby");
    client.recv_text();
    for name in ["ann", "Ann"] {
        client.send_text(&format!("/nick {name}"));
        client.recv_text();
    }
    client.close();
    server.wait_for_log("room lobby: user0 joined from ");
    server.wait_for_log("room lobby: user0 is now ann");
    server.wait_for_log("room lobby: ann is now Ann");
    server.wait_for_log("room lobby: Ann left from ");
}
