//! The rate limit slows messages down. It holds up neither control frames nor the end of a connection.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use support::cases::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use support::{Client, RawClient, TestServer, config, raw, watchdog};
use threadchat::Config;

fn server(rate_limit: u32) -> TestServer {
    TestServer::with_config(Config {
        rate_limit: Some(rate_limit),
        max_connections: 2,
        ..config()
    })
}

/// Reads frames up to one with this first byte, and checks that it arrives long before messages that wait for the rate.
fn expect_soon(client: &mut RawClient, first: u8) -> Vec<u8> {
    let start = Instant::now();
    loop {
        let (received, payload) = client
            .frame()
            .expect("the connection is not reset")
            .expect("the connection is open");
        assert!(start.elapsed() < Duration::from_secs(10));
        if received == first {
            return payload;
        }
    }
}

/// Sends `bytes` and a line, and returns the time until another user receives the line.
fn delay_after(server: &TestServer, bytes: &[u8]) -> Duration {
    let mut other = Client::join(server.address);
    let mut client = RawClient::upgraded(server.address, "/chat");
    let start = Instant::now();
    client.send(&[bytes, &raw::frame(TEXT, b"last")].concat());
    other.recv_until(|text| text.ends_with(": last"));
    start.elapsed()
}

#[test]
fn disconnected_client_frees_its_place_although_its_messages_wait() {
    let _watchdog = watchdog(60);
    for reset in [true, false] {
        let server = server(1);
        let _other = server.client();
        let mut client = RawClient::upgraded(server.address, "/chat");
        client.send(&raw::frame(BINARY, b"").repeat(6000));
        thread::sleep(Duration::from_millis(200));
        if reset {
            set_socket_linger(&client.socket, Some(Duration::ZERO)).expect("sockets can linger");
        } else {
            // Everything is read, so that the client sends a FIN.
            client.frame().expect("the greeting arrives");
        }
        drop(client);
        let start = Instant::now();
        let request = || support::client::request(server.address, "/chat");
        while Client::try_connect(server.address, request()).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "reset: {reset}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn control_frames_do_not_wait_for_messages_and_nothing_is_lost() {
    let _watchdog = watchdog(60);
    let server = server(1);
    let mut other = server.client();
    let mut client = RawClient::upgraded(server.address, "/chat");
    for number in 0..30 {
        client.send(&raw::frame(TEXT, number.to_string().as_bytes()));
    }
    client.send(&raw::frame(PING, b"ping"));
    assert_eq!(expect_soon(&mut client, PONG), b"ping");
    assert_eq!(other.recv_text(), "[user1]: 0");
    client.send(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(expect_soon(&mut client, CLOSE), 1000_u16.to_be_bytes());
    for number in 1..30 {
        assert_eq!(other.recv_text(), format!("[user1]: {number}"));
    }
}

#[test]
fn throttled_client_is_pinged_once_per_ping_period_and_not_dead() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(Config {
        rate_limit: Some(10),
        ping: Some(Duration::from_secs(2)),
        ..config()
    });
    let mut client = RawClient::upgraded(server.address, "/chat");
    // The first line waits for almost five seconds. The queue is full of it, so Pongs are not read. They are behind the others.
    client.send(&raw::frame(TEXT, &[b'x'; 60_000]));
    client.send(&raw::frame(TEXT, b"line").repeat(39));
    client.send(&raw::frame(TEXT, b"last"));
    let mut pings = 0;
    loop {
        match client.frame().expect("the connection is not reset") {
            Some((PING, payload)) => {
                pings += 1;
                client.send(&raw::frame(PONG, &payload));
            }
            Some((_, payload)) if payload.ends_with(b": last") => break,
            Some(_) => {}
            None => panic!("disconnected"),
        }
    }
    // The lines take nine seconds, with a Ping in each ping period and not in each wait for the rate.
    assert!((2..20).contains(&pings), "{pings}");
}

#[test]
fn each_started_kib_counts_as_a_message() {
    let _watchdog = watchdog(60);
    let line = raw::frame(TEXT, &[b'x'; 2049]);
    // The burst of one second is free. Nine are left: four more lines of three, less one second's share.
    let delay = delay_after(&server(3), &line.repeat(4));
    assert!(delay > Duration::from_millis(2900), "{delay:?}");
    // Without a limit, even a hundred have no such delay.
    let delay = delay_after(&TestServer::start(), &line.repeat(100));
    assert!(delay < Duration::from_secs(10), "{delay:?}");
}

#[test]
fn a_hundred_frames_count_as_a_message_more() {
    let _watchdog = watchdog(60);
    let pings = raw::frame(PING, b"").repeat(1200);
    let fragments = [
        raw::fragment(TEXT, false, b"x"),
        raw::fragment(CONTINUATION, false, b"x").repeat(1198),
        raw::fragment(CONTINUATION, true, b"x"),
    ]
    .concat();
    for frames in [pings, fragments] {
        let delay = delay_after(&server(4), &frames);
        assert!(delay > Duration::from_millis(1900), "{delay:?}");
    }
}
