//! Connection limit, rate limit and allowed origins.

mod support;

use std::time::{Duration, Instant};

use support::{Client, RawClient, TestServer, config, eventually, raw, watchdog};
use threadchat::Config;

#[test]
fn over_the_limit_gets_503_until_a_client_leaves() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(Config {
        max_connections: 2,
        ..config()
    });
    let (chat, echo) = (server.client(), Client::connect(server.address, "/echo"));
    let mut refused = RawClient::connect(server.address);
    refused.send(raw::handshake("/chat", "").as_bytes());
    let head = refused.head();
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 5\r\n"),
        "{head}"
    );
    assert!(
        String::from_utf8_lossy(&refused.rest().expect("the connection is not reset"))
            .contains("try again later")
    );
    // Plain HTTP requests don't count as connections.
    let mut health = RawClient::connect(server.address);
    health.send(b"GET /health HTTP/1.1\r\n\r\n");
    assert!(health.head().starts_with("HTTP/1.1 200 "));
    echo.close();
    let reconnect = || {
        Client::try_connect(
            server.address,
            support::client::request(server.address, "/chat"),
        )
    };
    eventually("a connection is permitted again", || reconnect().is_ok());
    drop(chat);
}

#[test]
fn rate_limit_delays_but_never_drops() {
    let _watchdog = watchdog(60);
    let rate = 5;
    let server = TestServer::with_config(Config {
        rate_limit: Some(rate),
        ..config()
    });
    let (mut fast, mut other) = (server.client(), server.client());
    let total = 3 * rate;
    let start = Instant::now();
    for number in 0..total {
        fast.send_text(&number.to_string());
    }
    for number in 0..total {
        assert_eq!(other.recv_text(), format!("[user0]: {number}"));
    }
    // A burst of one second's messages is not delayed. The other two thirds take one second each.
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_millis(1900), "{elapsed:?}");

    // The limit applies to each sender alone: the other client's message does not wait for these, which take 20 seconds.
    for _ in 0..20 * rate {
        fast.send_text("many");
    }
    other.recv_text();
    let sent = Instant::now();
    other.send_text("between");
    fast.recv_until(|text| text == "[user1]: between");
    let delay = sent.elapsed();
    assert!(delay < Duration::from_secs(10), "{delay:?}");
}

#[test]
fn only_allowed_origins_can_connect() {
    let _watchdog = watchdog(60);
    let allow_origin = vec![
        "https://chat.example".to_owned(),
        "http://localhost:3000".to_owned(),
    ];
    let server = TestServer::with_config(Config {
        allow_origin,
        ..config()
    });
    for (origin, status) in [
        ("", 101),
        ("Origin: https://chat.example\r\n", 101),
        ("Origin: HTTP://LOCALHOST:3000\r\n", 101),
        ("Origin: https://chat.example.evil\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        for path in ["/chat", "/echo"] {
            let mut raw = RawClient::connect(server.address);
            raw.send(raw::handshake(path, origin).as_bytes());
            let head = raw.head();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{origin:?}: {head}"
            );
        }
    }
}
