//! A client that stops reading uses a bounded amount of memory, and is disconnected with the reason in the log, without
//! an effect on other clients.

mod support;

use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

/// Size of a message, large enough to fill the kernel's buffers of a client that does not read soon.
const TEXT_SIZE: usize = 32 << 10;

#[test]
fn slow_clients_are_disconnected_without_an_effect_on_others() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[]);
    let mut client = Client::join(server.address);
    let (before, descriptors) = (server.resident_kb(), server.descriptors());
    let stalled: Vec<_> = (0..8)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    let text = "x".repeat(TEXT_SIZE);
    let mut disconnected = 0;
    while disconnected < stalled.len() {
        // The client reads each message before it sends the next, so it never falls behind itself.
        for _ in 0..50 {
            client.send_text(&text);
            assert_eq!(client.recv_text().len(), "[user0]: ".len() + TEXT_SIZE);
        }
        // The greeting of a new client contains the number of users that remain.
        let mut probe = Client::connect(server.address, "/chat");
        disconnected = 2 + stalled.len() - support::users(&probe.recv_text());
        probe.close();
    }
    for _ in &stalled {
        let line = server.wait_for_log("too slow");
        assert!(line.contains(" bytes queued"), "{line}");
    }
    // The backlog is at most one MiB per client, and the rest of the process is small.
    let max_kb = before + stalled.len() * 1024 + 8 * 1024;
    assert!(
        server.peak_kb() < max_kb,
        "{} of {max_kb} KiB",
        server.peak_kb()
    );
    eventually("their writer threads have ended", || {
        server.threads() <= BASELINE_THREADS + 1
    });
    eventually("their descriptors are closed", || {
        server.descriptors() <= descriptors
    });
    client.send_text("still here");
    assert_eq!(client.recv_text(), "[user0]: still here");
}

#[test]
fn client_that_catches_up_has_missed_no_message() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&["--max-backlog", "67108864", "--log-level", "debug"]);
    let mut client = Client::join(server.address);
    let mut behind = Client::join(server.address);
    let mut sent = 0;
    let text = "x".repeat(TEXT_SIZE);
    // The log reports when the socket buffers of the client that does not read are full.
    while server.find_in_log("fell behind").is_none() {
        client.send_text(&format!("{sent} {text}"));
        client.recv_text();
        sent += 1;
    }
    for number in 0..sent {
        assert!(
            behind
                .recv_text()
                .starts_with(&format!("[user0]: {number} x")),
            "{number}"
        );
    }
    server.wait_for_log("caught up");
    eventually("its writer thread has ended", || {
        server.threads() <= BASELINE_THREADS + 2
    });
    client.send_text("together");
    assert_eq!(
        (client.recv_text(), behind.recv_text()),
        ("[user0]: together".into(), "[user0]: together".into())
    );
}

#[test]
fn client_that_reads_nothing_for_the_write_timeout_is_disconnected() {
    let _watchdog = watchdog(120);
    // The backlog is far from full, so only the write timeout can disconnect the client.
    let mut server = ServerProcess::start(&[
        "--max-backlog",
        "1073741824",
        "--log-level",
        "debug",
        "--ping",
        "0",
    ]);
    let mut client = Client::join(server.address);
    let stalled = RawClient::upgraded(server.address, "/chat");
    // Without a bound, the client's kernel takes megabytes after the server's buffer was full for the first time.
    set_socket_recv_buffer_size(&stalled.socket, 4096).expect("sockets have a receive buffer");
    let text = "x".repeat(TEXT_SIZE);
    while server.find_in_log("fell behind").is_none() {
        client.send_text(&text);
        client.recv_text();
    }
    let start = std::time::Instant::now();
    assert!(
        server
            .wait_for_log("too slow")
            .contains("accepted no data until the write timeout")
    );
    assert!(
        start.elapsed() > Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(stalled);
}
