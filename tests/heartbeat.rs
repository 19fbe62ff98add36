//! Idle clients get a Ping, and are disconnected if they stay silent.

mod support;

use std::time::{Duration, Instant};

use support::cases::{PING, PONG, TEXT};
use support::{Client, RawClient, ServerProcess, TestServer, config, eventually, raw, watchdog};
use threadchat::Config;

/// Also the time in which a test has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(3);

fn server() -> TestServer {
    TestServer::with_config(Config {
        ping: Some(PING_INTERVAL),
        ..config()
    })
}

/// Reads up to the next frame with this first byte. Returns `None` at the end of the connection.
fn next_frame(raw: &mut RawClient, first: u8) -> Option<(u8, Vec<u8>)> {
    loop {
        match raw.frame().expect("the connection is not reset") {
            Some(frame) if frame.0 == first => return Some(frame),
            Some(_) => {}
            None => return None,
        }
    }
}

#[test]
fn client_that_answers_pings_stays_connected() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut client = RawClient::upgraded(server.address, "/chat");
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(next_frame(&mut client, PING), Some((PING, vec![])));
        client.send(&raw::frame(PONG, &[]));
    }
    assert!(
        start.elapsed() >= 2 * PING_INTERVAL - PING_INTERVAL / 10,
        "pinged too early: {:?}",
        start.elapsed()
    );
    client.send(&raw::frame(TEXT, b"here"));
    assert_eq!(
        next_frame(&mut client, TEXT).map(|frame| frame.0),
        Some(TEXT)
    );
}

#[test]
fn unresponsive_client_gets_a_ping_timeout() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&["--ping", "1"]);
    let descriptors = server.descriptors();
    // This client neither reads nor replies, as if its network were down.
    let start = Instant::now();
    let silent = RawClient::upgraded(server.address, "/chat");
    assert!(server.wait_for_log("ping timeout").contains("user0 left"));
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "disconnected too early: {:?}",
        start.elapsed()
    );
    eventually("its descriptor is closed", || {
        server.descriptors() <= descriptors
    });
    assert_eq!(
        Client::connect(server.address, "/chat").recv_text(),
        "You are connected! There are 1 users here."
    );
    drop(silent);
}

#[test]
fn any_byte_resets_the_ping_timeout() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut client = RawClient::upgraded(server.address, "/chat");
    // A frame sent over three periods, one byte after each Ping.
    for byte in raw::frame(TEXT, b"slowly")[..3].iter() {
        assert!(next_frame(&mut client, PING).is_some(), "still connected");
        client.send(&[*byte]);
    }
}

#[test]
fn ping_0_never_pings() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(Config {
        ping: None,
        ..config()
    });
    let mut client = RawClient::upgraded(server.address, "/echo");
    client
        .socket
        .set_read_timeout(Some(Duration::from_secs(3)))
        .expect("the timeout is not zero");
    assert!(client.frame().is_err(), "unexpected frame");
    client.send(&raw::frame(TEXT, b"x"));
    assert_eq!(
        client.frame().expect("the server sends the echo"),
        Some((TEXT, b"x".to_vec()))
    );
}
