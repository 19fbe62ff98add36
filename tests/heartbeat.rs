//! A client that is silent is pinged, and one that stays silent is gone.

mod support;

use std::time::{Duration, Instant};

use support::{Client, RawClient, ServerProcess, TestServer, config, eventually, raw, watchdog};
use threadchat::Config;

const PING: Duration = Duration::from_secs(1);

fn host() -> TestServer {
    TestServer::with_config(Config {
        ping: Some(PING),
        ..config()
    })
}

/// Reads until a frame of this kind comes.
fn frame_of(raw: &mut RawClient, first: u8) -> Option<(u8, Vec<u8>)> {
    loop {
        match raw.frame().expect("no reset") {
            Some(frame) if frame.0 == first => return Some(frame),
            Some(_) => {}
            None => return None,
        }
    }
}

#[test]
fn a_client_that_answers_pings_stays() {
    let _watchdog = watchdog(60);
    let host = host();
    let mut client = RawClient::upgraded(host.address, "/chat");
    let begin = Instant::now();
    for _ in 0..4 {
        assert_eq!(frame_of(&mut client, 0x89), Some((0x89, vec![])));
        client.send(&raw::frame(0x8a, &[]));
    }
    assert!(
        begin.elapsed() >= 4 * PING - PING / 10,
        "pinged before it was silent: {:?}",
        begin.elapsed()
    );
    client.send(&raw::frame(0x81, b"here"));
    assert_eq!(frame_of(&mut client, 0x81).map(|frame| frame.0), Some(0x81));
}

#[test]
fn a_client_that_vanished_without_a_word_is_noticed() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&["--ping", "1"]);
    // It neither reads nor answers, as one whose network is gone.
    let begin = Instant::now();
    let silent = RawClient::upgraded(program.address, "/chat");
    assert!(program.wait_for_log("ping timeout").contains("user0 left"));
    assert!(
        begin.elapsed() >= 2 * PING - PING / 10,
        "given up too early: {:?}",
        begin.elapsed()
    );
    eventually("its descriptor is closed", || program.descriptors() < 10);
    assert_eq!(
        Client::connect(program.address, "/chat").recv_text(),
        "You are connected! There are 1 users here."
    );
    drop(silent);
}

#[test]
fn any_byte_counts_as_life() {
    let _watchdog = watchdog(60);
    let host = host();
    let mut client = RawClient::upgraded(host.address, "/chat");
    // A frame that takes six periods, a byte each time a Ping asks for life.
    for byte in raw::frame(0x81, b"slowly")[..6].iter() {
        assert!(frame_of(&mut client, 0x89).is_some(), "still connected");
        client.send(&[*byte]);
    }
}

#[test]
fn ping_0_never_pings() {
    let _watchdog = watchdog(60);
    let host = TestServer::with_config(Config {
        ping: None,
        ..config()
    });
    let mut client = RawClient::upgraded(host.address, "/echo");
    client
        .socket
        .set_read_timeout(Some(3 * PING))
        .expect("not zero");
    assert!(client.frame().is_err(), "nothing comes");
    client.send(&raw::frame(0x81, b"x"));
    assert_eq!(
        client.frame().expect("an echo"),
        Some((0x81, b"x".to_vec()))
    );
}
