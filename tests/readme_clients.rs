//! Runs the clients of the documents' examples.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use support::readme::{PROTOCOL, README};
use support::{Browser, TestServer, python_with_websockets, watchdog};

/// Replaces the default address in an example.
fn example(example: &str, address: SocketAddr) -> String {
    assert!(example.contains("localhost:8080"), "{example}");
    example.replace("localhost:8080", &address.to_string())
}

#[test]
fn console_lines_connect_a_browser() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut witness = server.client();
    let mut page = browser.chat(server.address);
    page.value(&example(README.block("js"), server.address));
    witness.recv_until(|text| text.ends_with("]: hello from the console"));
}

#[test]
fn python_program_speaks_json() {
    let _watchdog = watchdog(60);
    let Some(python) = python_with_websockets() else {
        return;
    };
    let server = TestServer::start();
    let mut witness = server.client();
    let program = example(PROTOCOL.block("python"), server.address);
    let mut child = Command::new(python)
        .args(["-W", "error", "-u", "-c", &program])
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python was found");
    witness.recv_until(|text| text == "[alice]: hello");
    witness.send_text("hello, alice");
    let printed = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let printed: Vec<String> = printed.map_while(Result::ok).take(2).collect();
    assert_eq!(printed, ["alice: hello", "user0: hello, alice"]);
    child.kill().expect("the program can be ended");
    child.wait().expect("the program was started");
}

#[test]
fn python_line_connects() {
    let _watchdog = watchdog(60);
    let Some(python) = python_with_websockets() else {
        return;
    };
    let server = TestServer::start();
    let mut witness = server.client();
    let commands = README.blocks("sh").concat();
    let line = commands
        .lines()
        .find_map(|line| line.strip_prefix("python3 "));
    let line = example(line.expect("the README has the line"), server.address);
    let mut child = Command::new(python)
        .args(line.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Python was found");
    let mut input = child.stdin.take().expect("stdin is piped");
    writeln!(input, "hello from python").expect("the client reads its input");
    witness.recv_until(|text| text == "[user1]: hello from python");
    // The client ends with its input.
    drop(input);
    child.wait().expect("the client was started");
}
