//! Thousands of short connections leak no thread, no descriptor, no user and no memory.

mod support;

use std::net::SocketAddr;
use std::thread;

use support::cases::RESERVED_OPCODE;
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

const THREADS: usize = 4;
const CONNECTIONS_PER_THREAD: usize = 600;

#[test]
fn disconnects_release_threads_descriptors_users_and_memory() {
    let _watchdog = watchdog(180);
    let server = ServerProcess::start(&[]);
    let usage = || (server.threads(), server.descriptors());
    let before = (BASELINE_THREADS, server.descriptors());
    // The first run makes the one-time allocations, so that they don't count as growth.
    churn(server.address, 60);
    eventually("threads and descriptors are released", || usage() == before);
    let resident = server.resident_kb();
    churn(server.address, CONNECTIONS_PER_THREAD);
    eventually("threads and descriptors are released", || usage() == before);
    let greeting = Client::connect(server.address, "/chat").recv_text();
    assert_eq!(greeting, "You are connected! There are 1 users here.");
    let grown = server.resident_kb().saturating_sub(resident);
    println!(
        "after {} connections: {before:?} threads and descriptors, {resident} KiB before, {grown} KiB more after",
        THREADS * CONNECTIONS_PER_THREAD
    );
    assert!(grown < 4096, "memory grew by {grown} KiB");
}

/// Opens connections and ends them in different ways: with a Close, without one, before and within the handshake, with
/// an invalid frame.
fn churn(address: SocketAddr, connections_per_thread: usize) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                for number in 0..connections_per_thread {
                    match number % 6 {
                        0 => Client::join(address).close(),
                        1 => drop(Client::join(address)),
                        2 => drop(RawClient::connect(address)),
                        3 => RawClient::connect(address).send(b"GET /chat HT"),
                        4 => RawClient::upgraded(address, "/chat")
                            .send(&raw::frame(RESERVED_OPCODE, b"bad")),
                        _ => {
                            let mut client = Client::join(address);
                            client.send_text("/nick visitor");
                            client.send_text("hi");
                            client.close();
                        }
                    }
                }
            });
        }
    });
}
