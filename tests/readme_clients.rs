//! The clients that the README names, used as it says.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use support::readme::{README, block};
use support::{Browser, TestServer, watchdog};

/// An example that connects to the default address, made to connect to this one.
fn example(example: &str, address: SocketAddr) -> String {
    assert!(example.contains("localhost:8080"), "{example}");
    example.replace("localhost:8080", &address.to_string())
}

#[test]
fn the_lines_for_a_browsers_console() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut witness = host.client();
    let mut page = browser.chat(host.address);
    page.value(&example(block("js"), host.address));
    witness.recv_until(|heard| heard.ends_with("]: hello from the console"));
}

#[test]
fn the_line_for_python() {
    let _watchdog = watchdog(60);
    let has_it = |python: &&str| {
        let import = Command::new(python)
            .args(["-c", "import websockets"])
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    // A Python of its own may stand before Debian's, which has Debian's packages.
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_it) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs it");
        return println!("skipped: there is no Python with websockets here");
    };
    let host = TestServer::start();
    let mut witness = host.client();
    let line = README
        .lines()
        .find_map(|line| line.strip_prefix("    python3 "));
    let line = example(line.expect("the README has it"), host.address);
    let mut child = Command::new(python)
        .args(line.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was found");
    let mut input = child.stdin.take().expect("is piped");
    writeln!(input, "hello from python").expect("it reads");
    witness.recv_until(|heard| heard == "[user1]: hello from python");
    // The end of its input is its end.
    drop(input);
    child.wait().expect("it was started");
}
