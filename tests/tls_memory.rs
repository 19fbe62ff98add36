//! Memory of idle clients with TLS: large records leave nothing behind.

#![cfg(feature = "tls")]

mod support;

use support::cases::TEXT;
use support::certificates::Certificates;
use support::tls::{Tunnel, client_config, server_process};
use support::{RawClient, ServerProcess, raw, watchdog};

/// The most that TLS adds to an idle client, in KiB. Unoptimized code takes more of the stack than the documented figure.
const MAX_TLS_KB: usize = 27;

/// Returns the memory of one of many clients that have sent messages as large as a record and are idle, in KiB.
fn idle_kb(server: &ServerProcess, address: std::net::SocketAddr) -> usize {
    const CLIENTS: usize = 200;
    let message = [b"/nosuch ", &[b'x'; 16_000][..]].concat();
    let join = |_| {
        let mut client = RawClient::upgraded(address, "/chat");
        client.frame().expect("the greeting arrives");
        client.send(&raw::frame(TEXT, &message));
        client.frame().expect("the reply arrives");
        client
    };
    // The first clients allocate what all share.
    let first: Vec<RawClient> = (0..20).map(join).collect();
    let before = server.resident_kb();
    let clients: Vec<RawClient> = (0..CLIENTS).map(join).collect();
    let each = (server.resident_kb() - before) / CLIENTS;
    drop((first, clients));
    each
}

#[test]
fn large_records_leave_nothing_behind() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let tunnel = Tunnel::start(server.address, config);
    let with_tls = idle_kb(&server, tunnel.address);
    drop(server);
    let server = ServerProcess::start(&[]);
    let plain = idle_kb(&server, server.address);
    println!("{with_tls} KiB for each client with TLS, {plain} KiB without");
    assert!(
        with_tls <= plain + MAX_TLS_KB,
        "{with_tls} KiB, {plain} KiB"
    );
}
