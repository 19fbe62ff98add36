//! How many clients there may be, how fast each may send, and who may connect.

mod support;

use std::time::{Duration, Instant};

use support::{Client, RawClient, TestServer, config, eventually, raw, watchdog};
use threadchat::Config;

#[test]
fn one_client_too_many_is_told_to_try_again_and_gets_in_later() {
    let _watchdog = watchdog(60);
    let host = TestServer::with_config(Config {
        max_connections: 2,
        ..config()
    });
    let (stays, goes) = (host.client(), Client::connect(host.address, "/echo"));
    let mut refused = RawClient::connect(host.address);
    refused.send(raw::handshake("/chat", "").as_bytes());
    let head = refused.head();
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 5\r\n"),
        "{head}"
    );
    assert!(
        String::from_utf8_lossy(&refused.rest().expect("no reset")).contains("try again later")
    );
    // Other requests need no place.
    let mut health = RawClient::connect(host.address);
    health.send(b"GET /health HTTP/1.1\r\n\r\n");
    assert!(health.head().starts_with("HTTP/1.1 200 "));
    goes.close();
    let again = || {
        Client::try_connect(
            host.address,
            support::client::request(host.address, "/chat"),
        )
    };
    eventually("there is a place again", || again().is_ok());
    drop(stays);
}

#[test]
fn who_sends_too_fast_is_slowed_and_loses_nothing() {
    let _watchdog = watchdog(60);
    let rate = 20;
    let host = TestServer::with_config(Config {
        rate_limit: Some(rate),
        ..config()
    });
    let (mut fast, mut other) = (host.client(), host.client());
    let total = 3 * rate;
    let begin = Instant::now();
    for number in 0..total {
        fast.send_text(&number.to_string());
    }
    for number in 0..total {
        assert_eq!(other.recv_text(), format!("[user0]: {number}"));
        if number == rate {
            // Its own speed is what is limited: the other is heard at once, and it hears the other.
            let asked = Instant::now();
            other.send_text("between");
            fast.recv_until(|text| text == "[user1]: between");
            assert!(
                asked.elapsed() < Duration::from_secs(1),
                "{:?}",
                asked.elapsed()
            );
            assert_eq!(other.recv_until(|text| text == "[user1]: between").len(), 1);
        }
    }
    // A burst of one second's worth is free, and the other two thirds take a second each.
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(1900), "{took:?}");
}

#[test]
fn only_allowed_origins_may_connect() {
    let _watchdog = watchdog(60);
    let allow_origin = vec![
        "https://chat.example".to_owned(),
        "http://localhost:3000".to_owned(),
    ];
    let host = TestServer::with_config(Config {
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
            let mut raw = RawClient::connect(host.address);
            raw.send(raw::handshake(path, origin).as_bytes());
            let head = raw.head();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{origin:?}: {head}"
            );
        }
    }
}
