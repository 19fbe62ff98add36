//! Thousands come and go, and leave nothing behind.

mod support;

use std::net::SocketAddr;
use std::thread;

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

const THREADS: usize = 4;
const EACH: usize = 600;

#[test]
fn no_thread_no_descriptor_and_no_name_is_left() {
    let _watchdog = watchdog(180);
    let program = ServerProcess::start(&[]);
    let quiet = || (program.threads(), program.descriptors());
    let before = (BASELINE_THREADS, program.descriptors());
    // What is allocated once is there before the memory is compared.
    storm(program.address, 60);
    eventually("threads and descriptors are as before", || {
        quiet() == before
    });
    let resident = program.resident_kb();
    storm(program.address, EACH);
    eventually("threads and descriptors are as before", || {
        quiet() == before
    });
    let greeting = Client::connect(program.address, "/chat").recv_text();
    assert_eq!(greeting, "You are connected! There are 1 users here.");
    let grown = program.resident_kb().saturating_sub(resident);
    println!(
        "after {} connections: {before:?}, {grown} KiB more than {resident}",
        THREADS * EACH
    );
    assert!(grown < 4096, "{grown} KiB more than before");
}

/// Connections that end in every way there is.
fn storm(address: SocketAddr, each: usize) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                for number in 0..each {
                    match number % 6 {
                        0 => Client::join(address).close(),
                        1 => drop(Client::join(address)),
                        2 => drop(RawClient::connect(address)),
                        3 => RawClient::connect(address).send(b"GET /chat HT"),
                        4 => RawClient::upgraded(address, "/chat").send(&raw::frame(0x83, b"bad")),
                        _ => {
                            let mut client = Client::join(address);
                            client.send_text("/nick Passer-by");
                            client.send_text("hi");
                            client.close();
                        }
                    }
                }
            });
        }
    });
}
