//! Limits of each address: joins, open WebSockets, and the client's address behind a trusted proxy.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::raw::handshake;
use support::{RawClient, ServerProcess, TestServer, config, eventually, watchdog};
use threadchat::Config;

/// Requests `/chat` with these lines of `X-Forwarded-For`. Returns the client and the head of the response.
fn request(server: std::net::SocketAddr, forwarded: &[&str]) -> (RawClient, String) {
    let lines = forwarded
        .iter()
        .map(|line| format!("X-Forwarded-For: {line}\r\n"));
    let mut raw = RawClient::connect(server);
    raw.send(handshake("/chat", &lines.collect::<String>()).as_bytes());
    let head = raw.head();
    (raw, head)
}

fn is_admitted(server: std::net::SocketAddr, forwarded: &[&str]) -> bool {
    let (_, head) = request(server, forwarded);
    if head.starts_with("HTTP/1.1 101 ") {
        return true;
    }
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    false
}

fn behind_a_proxy(max_per_address: Option<usize>) -> TestServer {
    TestServer::with_config(Config {
        max_per_address,
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        ..config()
    })
}

#[test]
fn joins_from_one_address_are_limited_to_a_burst_and_then_a_rate() {
    let _watchdog = watchdog(120);
    let server = behind_a_proxy(None);
    let start = Instant::now();
    let admitted = (0..200)
        .filter(|_| is_admitted(server.address, &["203.0.113.7"]))
        .count();
    let rate = start.elapsed().as_secs() as usize * 5 + 5;
    assert!((100..=100 + rate).contains(&admitted), "{admitted}");
    // Other addresses have their own limit.
    assert!(is_admitted(server.address, &["203.0.113.8"]));
    eventually("the address can join again", || {
        is_admitted(server.address, &["203.0.113.7"])
    });
}

#[test]
fn joins_from_the_loopback_address_are_not_limited() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    for number in 0..200 {
        // Without a trusted proxy the header has no effect.
        assert!(is_admitted(server.address, &["203.0.113.7"]), "{number}");
    }
}

#[test]
fn an_address_has_at_most_max_per_address_connections() {
    let _watchdog = watchdog(60);
    let server = behind_a_proxy(Some(2));
    for (own, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("2001:db8:0:1::1", "2001:db8:0:1:2:3:4:5", "2001:db8:0:2::1"),
    ] {
        let (first, head) = request(server.address, &[own]);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let (_second, head) = request(server.address, &[same]);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(!is_admitted(server.address, &[own]));
        assert!(!is_admitted(server.address, &[same]));
        assert!(is_admitted(server.address, &[other]));
        drop(first);
        eventually("a connection is permitted again", || {
            is_admitted(server.address, &[own])
        });
    }
}

#[test]
fn max_per_address_is_off_by_default() {
    let _watchdog = watchdog(60);
    let server = behind_a_proxy(None);
    let clients: Vec<_> = (0..50)
        .map(|_| request(server.address, &["203.0.113.7"]))
        .collect();
    for (_, head) in &clients {
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
}

#[test]
fn the_log_has_the_address_that_a_trusted_proxy_forwards() {
    let _watchdog = watchdog(60);
    let proxies = ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy"];
    let mut trusting = ServerProcess::start(&[&proxies[..], &["127.0.0.1"]].concat());
    let mut other = ServerProcess::start(&[&proxies[..], &["127.0.0.2"]].concat());
    for (lines, expected) in [
        (&["203.0.113.7"][..], "203.0.113.7:"),
        (&["198.51.100.1, 203.0.113.7", "10.1.2.3"], "203.0.113.7:"),
        (&["2001:db8::1"], "[2001:db8::1]:"),
        (&["203.0.113.7, nonsense, 10.1.2.3"], "10.1.2.3:"),
        (&["nonsense"], "127.0.0.1:"),
        (&[], "127.0.0.1:"),
    ] {
        for (server, expected) in [(&mut trusting, expected), (&mut other, "127.0.0.1:")] {
            drop(request(server.address, lines));
            for part in ["joined from ", "left from "] {
                let line = server.wait_for_log(part);
                let (_, address) = line.split_once(part).expect("the line has the part");
                assert!(address.starts_with(expected), "{lines:?}: {line}");
            }
        }
    }
}

#[test]
fn refusals_of_one_kind_are_logged_once_a_minute() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[
        "--max-connections",
        "3",
        "--max-per-address",
        "1",
        "--trusted-proxy",
        "127.0.0.1",
        "--allow-origin",
        "https://chat.example",
    ]);
    let start = Instant::now();
    let address = server.address;
    let (client, head) = request(address, &["203.0.113.7"]);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for _ in 0..5 {
        let mut raw = RawClient::connect(address);
        let lines = "Origin: https://evil.example/\u{202e}\r\nX-Forwarded-For: 203.0.113.7\r\n";
        raw.send(handshake("/chat", lines).as_bytes());
        assert!(raw.head().starts_with("HTTP/1.1 403 "));
        assert!(!is_admitted(address, &["203.0.113.7"]));
    }
    let others = ["203.0.113.8", "203.0.113.9"].map(|other| request(address, &[other]));
    for _ in 0..5 {
        let (_, head) = request(address, &["203.0.113.10"]);
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    }
    drop(others);
    let joins_too_often = || {
        let (mut raw, head) = request(address, &["203.0.113.11"]);
        head.contains(" 429 ")
            && raw
                .rest()
                .is_ok_and(|body| body.starts_with(b"too many joins"))
    };
    // From several threads, so that the joins outrun the rate also on a busy machine.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| eventually("the address has joined too often", joins_too_often));
        }
    });
    for _ in 0..5 {
        request(address, &["203.0.113.11"]);
    }
    drop(client);
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(
        start.elapsed() < Duration::from_secs(50),
        "the machine is too slow"
    );
    let log = server.remaining_log();
    let warnings: Vec<&str> = log
        .iter()
        .filter_map(|line| line.split_once("[WARN] 203.0.113."))
        .filter_map(|(_, line)| Some(line.split_once(" rejected: ")?.1))
        .collect();
    assert_eq!(
        warnings,
        [
            r#"origin "https://evil.example/\u{202e}" not allowed"#,
            "connection limit of the address reached (1)",
            "connection limit reached (3)",
            "the address joins too often",
        ]
    );
}
