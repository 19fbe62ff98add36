//! Unfinished TLS handshakes count as unfinished requests: the oldest ones are evicted, real clients still join, and parts of
//! records do not put the end off.

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
    // The oldest handshake is evicted long before its timeout of ten seconds. A reset is an end, too.
    let _ = unfinished[0].read_to_end(&mut Vec::new());
    let evicted = start.elapsed();
    assert!(evicted < Duration::from_secs(9), "{evicted:?}");
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
}

#[test]
fn a_part_of_a_record_does_not_put_the_end_of_an_unfinished_request_off() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let start = Instant::now();
    let mut client = TlsClient::connect(server.address, &config);
    let record = client.records(b"GET / HTTP/1.1\r\n");
    // The handshake's tickets arrive first, then nothing: each wait ends after its seconds.
    let patience = Some(Duration::from_secs(5));
    let set = client.socket.set_read_timeout(patience);
    set.expect("the timeout is not zero");
    while client
        .socket
        .read(&mut [0; 1024])
        .is_ok_and(|read| read > 0)
    {}
    let sent = client.socket.write_all(&record[..5]);
    sent.expect("the server reads");
    let set = client.socket.set_read_timeout(Some(TIMEOUT));
    set.expect("the timeout is not zero");
    let end = client.socket.read(&mut [0; 1024]);
    assert_eq!(end.expect("no reset"), 0);
    // Ten seconds for the handshake and the request, not ten from the part on.
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
}
