//! Unfinished TLS handshakes count as unfinished requests: the oldest ones are evicted, and real clients still join.

#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::cases::TEXT;
use support::certificates::Certificates;
use support::server_process::BASELINE_THREADS;
use support::tls::{TlsClient, client_config, server_process};
use support::{TIMEOUT, eventually, raw, watchdog};

#[test]
fn over_the_limit_the_oldest_handshake_is_evicted() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    // With a small connection limit, 64 handshakes can still be pending.
    let limit = 64;
    let server = server_process(&certificates, &["--max-connections", "20"]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::join(server.address, &config);
    let hello = TlsClient::begin(server.address, &config).own_records();
    let start = Instant::now();
    // Nothing, one byte, a part of the first record, and all of it.
    let parts = [0, 1, hello.len() / 2, hello.len()];
    let begin = |part: &usize| {
        let mut socket = TcpStream::connect(server.address).expect("the server listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        // The server can have evicted this handshake already.
        let _ = socket.write_all(&hello[..*part]);
        socket
    };
    let parts = parts.iter().cycle().take(5 * limit);
    let mut unfinished: Vec<TcpStream> = parts.map(begin).collect();
    for _ in 0..10 {
        let start = Instant::now();
        TlsClient::join(server.address, &config);
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    }
    eventually("the threads of evicted handshakes end", || {
        server.threads() <= BASELINE_THREADS + limit + 3
    });
    // The client is older than all of them, but not evicted, because its handshake is complete.
    client.send(&raw::frame(TEXT, b"still here"));
    client.read_until("still here");
    // The oldest handshake was evicted long before its timeout.
    let mut received = Vec::new();
    // A reset is an end, too.
    let _ = unfinished[0].read_to_end(&mut received);
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
}
