//! The file of the secret: when the server starts, and when SIGHUP reads it again.

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use support::raw::{frame, handshake};
use support::{RawClient, SecretFile, ServerProcess, watchdog};

const SECRET: &str = "correct-horse?battery>staple";

/// Sends a handshake with this secret. Returns whether the client gets in.
fn open(address: SocketAddr, path: &str, secret: &str) -> (RawClient, bool) {
    let mut raw = RawClient::connect(address);
    raw.send(handshake(path, &format!("Authorization: Bearer {secret}\r\n")).as_bytes());
    let head = raw.head();
    let gets_in = head.starts_with("HTTP/1.1 101 ");
    assert!(gets_in || head.starts_with("HTTP/1.1 401 "), "{head}");
    (raw, gets_in)
}

fn gets_in(address: SocketAddr, secret: &str) -> bool {
    open(address, "/chat", secret).1
}

#[test]
fn sighup_reads_the_secret_again() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new("the-first-secret\n");
    let mut server = ServerProcess::start(&["--secret-file", file.path()]);
    let (mut raw, _) = open(server.address, "/echo", "the-first-secret");

    file.write("the-second-secret\r\nthe-first-secret\n");
    assert!(gets_in(server.address, "the-first-secret"), "no signal yet");
    server.signal(Signal::HUP);
    server.wait_for_log("new clients need the secret as it is now");
    assert!(gets_in(server.address, "the-second-secret"));
    assert!(!gets_in(server.address, "the-first-secret"));
    // Connected clients stay.
    raw.send(&frame(0x81, b"still here"));
    let echoed = raw.frame().expect("the server reads");
    assert_eq!(echoed, Some((0x81, b"still here".to_vec())));

    for broken in ["", "two words\n"] {
        file.write(broken);
        server.signal(Signal::HUP);
        let line = server.wait_for_log("the secret from before stays in use");
        assert!(
            line.contains("[ERROR]") && line.contains(file.path()),
            "{line}"
        );
        assert!(!line.contains("two words"), "{line}");
        assert!(gets_in(server.address, "the-second-secret"));
    }
}

#[test]
fn sigterm_stops_a_server_that_waits_for_the_secret() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new(SECRET);
    let mut server = ServerProcess::start(&["--secret-file", file.path()]);
    fs::remove_file(file.path()).expect("the file is ours");
    let made = Command::new("mkfifo").arg(file.path()).status();
    assert!(made.expect("mkfifo can be started").success());
    server.signal(Signal::HUP);
    // Waits until the server has opened the FIFO. It then waits for a secret.
    let writer = File::options().write(true).open(file.path());
    let _writer = writer.expect("the file is ours");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_secret_that_others_could_know_is_warned_of() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new(&format!("{SECRET}\n"));
    for (mode, is_warned) in [(0o604, true), (0o640, false)] {
        file.set_mode(mode);
        let log = log_of_start(&file);
        let readable = format!("{} can be read by all users", file.path());
        assert_eq!(log.contains(&readable), is_warned, "{mode:o}: {log}");
        assert!(
            !log.contains("shorter than") && !log.contains(SECRET),
            "{log}"
        );
    }
    file.write("only15character\n");
    assert!(log_of_start(&file).contains("[WARN] the secret is shorter than 16 characters"));
}

/// Returns the log of a server with this secret that starts and stops.
fn log_of_start(file: &SecretFile) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--secret-file", file.path()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be started");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut log = String::new();
    while !log.contains("listening at") {
        let read = stderr.read_line(&mut log);
        assert!(read.is_ok_and(|length| length > 0), "{log}");
    }
    child.kill().expect("the server is running");
    child.wait().expect("the server is a child process");
    log
}

#[test]
fn a_file_without_a_secret_ends_the_start_with_one_line() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new("\nsecond line\n");
    for (content, problem) in [
        (
            "\nsecond-line\n",
            "must be 1 to 256 visible ASCII characters",
        ),
        ("", "must be 1 to 256 visible ASCII characters"),
        ("has-a space\n", "must be 1 to 256 visible ASCII characters"),
    ] {
        file.write(content);
        let output = run(&["--secret-file", file.path()]);
        assert_eq!(output.status.code(), Some(1));
        let line = last_line(&output);
        assert!(line.starts_with("threadchat: the first line of "), "{line}");
        assert!(
            line.contains(problem) && line.contains(file.path()),
            "{line}"
        );
        assert!(
            !line.contains("second-line") && !line.contains("has-a"),
            "{line}"
        );
    }
    let output = run(&["--secret-file", "/nonexistent/secret"]);
    assert_eq!(output.status.code(), Some(1));
    let line = last_line(&output);
    assert!(
        line.starts_with("threadchat: cannot read /nonexistent/secret: "),
        "{line}"
    );
    assert_eq!(run(&["--secret-file"]).status.code(), Some(2));
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the server can be started")
}

/// Returns the only line of the error.
fn last_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("the text is UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    text.trim_end().to_owned()
}
