//! A client that floods the server with what TLS has to process delays no other, and its memory is bounded.

#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::cases::PING;
use support::certificates::Certificates;
use support::tls::{TlsClient, Tunnel, client_config, server_process};
use support::{Client, eventually, raw, watchdog};

/// Limit of the median round trip of other clients, on a machine that is busy with the flood and other tests.
const MAX_MEDIAN_DELAY: Duration = Duration::from_secs(1);

/// Returns a Ping in records of one byte each.
fn ping_in_tiny_records(client: &mut TlsClient) -> Vec<u8> {
    let frame = raw::frame(PING, b"");
    let records = frame.iter().flat_map(|byte| client.records(&[*byte]));
    records.collect()
}

#[test]
fn a_flood_of_tiny_records_does_not_delay_others() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut flooder = TlsClient::join(server.address, &config);
    let tunnel = Tunnel::start(server.address, config);
    let mut client = Client::join(tunnel.address);
    let stop = Arc::new(AtomicBool::new(false));
    let pings = Arc::new(AtomicUsize::new(0));
    let (stopped, sent) = (Arc::clone(&stop), Arc::clone(&pings));
    let flood = thread::spawn(move || {
        let mut reader = flooder.socket.try_clone().expect("it can be cloned");
        let reading = thread::spawn(move || {
            let mut discarded = [0; 16 << 10];
            while reader.read(&mut discarded).is_ok_and(|read| read > 0) {}
        });
        while !stopped.load(Ordering::Relaxed) {
            let chunk: Vec<u8> = (0..100)
                .flat_map(|_| ping_in_tiny_records(&mut flooder))
                .collect();
            flooder.socket.write_all(&chunk).expect("the server reads");
            sent.fetch_add(100, Ordering::Relaxed);
        }
        // The server can have closed the connection already.
        let _ = flooder.socket.shutdown(Shutdown::Both);
        reading.join().expect("the reader does not panic");
    });
    eventually("the flood has begun", || pings.load(Ordering::Relaxed) > 0);
    let delays = client.delays("user1");
    stop.store(true, Ordering::Relaxed);
    flood.join().expect("the flooding thread does not panic");
    println!("{pings:?} pings; delay of others: median {:?}", delays[50]);
    assert!(delays[50] < MAX_MEDIAN_DELAY, "{delays:?}");
}

#[test]
fn key_updates_without_reading_exceed_the_backlog() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &["--ping", "0"]);
    let config = client_config(&certificates, &[&rustls::version::TLS13]);
    let mut client = TlsClient::join(server.address, &config);
    // The server replies to each update, and refuses many of them without data in between.
    let mut sender = client.socket.try_clone().expect("it can be cloned");
    let mut update_and_ping = || {
        let updated = client.tls.refresh_traffic_keys();
        updated.expect("the handshake is complete");
        let update = client.own_records();
        [update, client.records(&raw::frame(PING, &[7; 100]))].concat()
    };
    while sender.write_all(&update_and_ping()).is_ok() {}
    let line = server.wait_for_log("user0 left");
    assert!(line.contains("too slow"), "{line}");
    let max_kb = 24 << 10;
    assert!(server.peak_kb() < max_kb, "{} KiB", server.peak_kb());
}
