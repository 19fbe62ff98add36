//! The end of a connection with TLS: Close, `close_notify`, FIN, and clients that stop in the middle of it.

#![cfg(feature = "tls")]

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::cases::{CLOSE, RESERVED_OPCODE, TEXT};
use support::certificates::Certificates;
use support::server_process::BASELINE_THREADS;
use support::tls::{TlsClient, client_config, server_process};
use support::{ServerProcess, eventually, raw, watchdog};

/// The type of a record with an alert, which TLS 1.3 conceals as application data (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;

/// Checks that a Close with this code is followed by `close_notify`, and that by the end of the connection. Returns all that
/// was received.
fn assert_end(client: &mut TlsClient, code: u16) -> Vec<u8> {
    let version = client.tls.protocol_version();
    let end = client.read_to_end().expect("valid records");
    let is_close = |first: &u8| *first == CLOSE;
    let close = end.plaintext.iter().rposition(is_close);
    let close = &end.plaintext[close.expect("the server sends a Close")..];
    assert_eq!(usize::from(close[1]), close.len() - 2, "{close:x?}");
    assert_eq!(close[2..4], code.to_be_bytes(), "{close:x?}");
    assert!(end.has_close_notify && !end.is_reset, "{version:?}, {code}");
    // An alert has two bytes. TLS 1.2 adds an explicit nonce and a tag, TLS 1.3 the type and a tag.
    let alert = match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => [(ALERT, 2 + 8 + 16), (ALERT, 2 + 16)],
        _ => [(APPLICATION_DATA, 2 + 1 + 16); 2],
    };
    let (last, before) = end.records.split_last().expect("the Close has a record");
    assert!(alert.contains(last), "{version:?}: {:?}", end.records);
    let is_data = |record: &(u8, usize)| record.0 == APPLICATION_DATA;
    assert!(!before.is_empty() && before.iter().all(is_data));
    end.plaintext
}

#[test]
fn every_close_is_followed_by_close_notify_and_the_end() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    let configs = rustls::ALL_VERSIONS
        .iter()
        .map(|version| client_config(&certificates, &[version]));
    let configs: Vec<_> = configs.collect();
    for config in &configs {
        for (sent, code) in [
            (raw::frame(TEXT, b"/quit"), 1000),
            (raw::frame(CLOSE, &4321_u16.to_be_bytes()), 4321),
            (raw::frame(RESERVED_OPCODE, b""), 1002),
            (raw::frame(TEXT, &[0xff]), 1007),
        ] {
            let mut client = TlsClient::join(server.address, config);
            client.send(&sent);
            assert_end(&mut client, code);
        }
    }
    let join = |config| TlsClient::join(server.address, config);
    let mut clients: Vec<TlsClient> = configs.iter().map(join).collect();
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_end(client, 1001);
    }
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_half_closed_client_receives_its_messages_and_the_close() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for version in rustls::ALL_VERSIONS.iter().cycle().take(40) {
        let config = client_config(&certificates, &[version]);
        let mut client = TlsClient::join(server.address, &config);
        let last_words = raw::frame(TEXT, b"last words").repeat(20);
        let close = raw::frame(CLOSE, &1000_u16.to_be_bytes());
        let mut records = client.records(&[last_words, close].concat());
        client.tls.send_close_notify();
        records.extend(client.own_records());
        client.socket.write_all(&records).expect("the server reads");
        let ended = client.socket.shutdown(Shutdown::Write);
        ended.expect("the connection is open");
        let plaintext = assert_end(&mut client, 1000);
        let text = String::from_utf8_lossy(&plaintext);
        assert_eq!(text.matches(": last words").count(), 20, "{text}");
    }
}

/// Starts a server and lets a client send `/quit`. Returns both when the client has received the Close.
fn quit(certificates: &Certificates) -> (ServerProcess, TlsClient) {
    let server = server_process(certificates, &["--ping", "0"]);
    let config = client_config(certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::join(server.address, &config);
    client.send(&raw::frame(TEXT, b"/quit"));
    assert_end(&mut client, 1000);
    (server, client)
}

/// Waits until only the threads of a server without clients are left. Returns the time since `start`.
fn wait_for_threads(server: &ServerProcess, start: Instant) -> Duration {
    eventually("the connection's thread has ended", || {
        server.threads() == BASELINE_THREADS
    });
    start.elapsed()
}

#[test]
fn a_client_that_stops_in_its_reply_to_a_close_is_disconnected() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    for sends_a_part in [false, true] {
        let (mut server, mut client) = quit(&certificates);
        let start = Instant::now();
        let reply = client.records(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
        let part = if sends_a_part { reply.len() - 1 } else { 0 };
        let sent = client.socket.write_all(&reply[..part]);
        sent.expect("the server reads");
        server.wait_for_log("did not reply to the Close");
        // The server waits for five seconds.
        let waited = wait_for_threads(&server, start);
        assert!(waited < Duration::from_secs(14), "{waited:?}");
    }
}

#[test]
fn a_reply_without_close_notify_ends_the_connection() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let waited = || {
        let (mut server, mut client) = quit(&certificates);
        let start = Instant::now();
        client.send(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
        // The client keeps its socket open, and the server does not wait for it.
        server.wait_for_log("disconnected: closed by the client (1000)");
        wait_for_threads(&server, start)
    };
    // A server that waits never takes less than its two seconds. A busy machine takes longer now and then.
    assert!((0..5).any(|_| waited() < Duration::from_secs(2)));
}

#[test]
fn a_client_that_keeps_its_socket_open_after_its_close_is_waited_for_shortly() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &["--ping", "0"]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::join(server.address, &config);
    let start = Instant::now();
    client.send(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
    assert_end(&mut client, 1000);
    // The server waits for two seconds.
    let waited = wait_for_threads(&server, start);
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

/// Starts a server with this ping period, and a client that stops within its Close.
fn stop_within_close(certificates: &Certificates, ping: &str) -> (ServerProcess, TlsClient) {
    let server = server_process(certificates, &["--ping", ping]);
    let config = client_config(certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::join(server.address, &config);
    let close = client.records(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
    let sent = client.socket.write_all(&close[..close.len() / 2]);
    sent.expect("the server reads");
    (server, client)
}

#[test]
fn a_client_that_ends_within_its_close_is_lost() {
    let _watchdog = watchdog(60);
    let (mut server, client) = stop_within_close(&Certificates::new(), "0");
    let ended = client.socket.shutdown(Shutdown::Write);
    ended.expect("the connection is open");
    server.wait_for_log("connection lost (TLS ended without close_notify)");
    wait_for_threads(&server, Instant::now());
}

#[test]
fn a_client_that_is_silent_within_its_close_gets_a_ping_timeout() {
    let _watchdog = watchdog(60);
    let (mut server, client) = stop_within_close(&Certificates::new(), "2");
    server.wait_for_log("ping timeout");
    wait_for_threads(&server, Instant::now());
    drop(client);
}
