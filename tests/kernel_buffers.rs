//! The kernel's part of a connection: what it holds for a client is bounded, a Ping that waits in it does not end the
//! connection, and what is left at the end of a connection is discarded soon.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use support::cases::{CLOSE, PING, PONG, TEXT};
use support::{Client, KERNEL_BYTES, RawClient, ServerProcess, eventually, raw, watchdog};

/// Returns a lock for one test at a time, as the memory of sockets is counted for the whole machine.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects a client whose kernel takes only a few kilobytes that it does not read.
fn narrow_client(address: SocketAddr) -> RawClient {
    let client = RawClient::upgraded(address, "/chat");
    set_socket_recv_buffer_size(&client.socket, 4096).expect("sockets have a receive buffer");
    client
}

/// Returns the bytes of memory that all TCP sockets of the machine use.
fn tcp_memory() -> usize {
    let sockstat = fs::read_to_string("/proc/net/sockstat").expect("Linux has this file");
    let pages = sockstat
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .and_then(|line| line.split(' ').next_back()?.parse::<usize>().ok());
    pages.expect("the number of pages is last") * rustix::param::page_size()
}

/// Returns the bytes that clients have not acknowledged, one number for each socket of this port that no process holds.
fn orphans(port: u16) -> Vec<usize> {
    let sockets = fs::read_to_string("/proc/net/tcp").expect("Linux has this file");
    let local = format!("0100007F:{port:04X}");
    let unacknowledged = sockets.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let queued = usize::from_str_radix(fields[4].split(':').next()?, 16).ok()?;
        (fields[1] == local && fields[9] == "0" && queued > 0).then_some(queued)
    });
    unacknowledged.collect()
}

#[test]
fn client_on_a_slow_line_outlives_pings_and_writes_that_wait() {
    const MESSAGES: usize = 350;
    // Two and a half write timeouts.
    const SLOW_TIME: Duration = Duration::from_secs(25);
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&["--ping", "2"]);
    let mut sender = Client::join(server.address);
    let mut slow = narrow_client(server.address);
    let text = "x".repeat(2 << 10);
    for number in 0..MESSAGES {
        sender.send_text(&format!("{number} {text}"));
        sender.recv_text();
    }
    sender.close();
    let start = Instant::now();
    let mut received = 0;
    while received < MESSAGES {
        let frame = slow.frame().unwrap_or_else(|error| {
            let reason = server.find_in_log("user1 left");
            panic!("{error} after {:?}: {reason:?}", start.elapsed())
        });
        let (first, payload) = frame.expect("the connection is open");
        match first {
            PING => slow.send(&raw::frame(PONG, &payload)),
            _ if payload.starts_with(format!("[user0]: {received} ").as_bytes()) => {
                received += 1;
                if start.elapsed() < SLOW_TIME {
                    // Some 13 KB per second: in a write timeout less than a third of the send buffer.
                    thread::sleep(Duration::from_millis(150));
                }
            }
            _ => {}
        }
    }
    slow.send(&raw::frame(TEXT, b"still here"));
    while slow.frame().expect("the connection is not reset")
        != Some((TEXT, b"[user1]: still here".to_vec()))
    {}
}

/// Returns the bytes of the kernel for one of several clients that do not read.
fn stalled_client_memory() -> usize {
    const STALLED: usize = 20;
    let args = ["--max-backlog", "67108864", "--log-level", "debug"];
    let mut server = ServerProcess::start(&args);
    let mut sender = Client::join(server.address);
    let before = tcp_memory();
    let stalled: Vec<RawClient> = (0..STALLED)
        .map(|_| narrow_client(server.address))
        .collect();
    let text = "x".repeat(32 << 10);
    for _ in 0..100 {
        sender.send_text(&text);
        sender.recv_text();
    }
    for _ in &stalled {
        server.wait_for_log("fell behind");
    }
    let each = tcp_memory().saturating_sub(before) / STALLED;
    println!("{each} bytes per client, bound {KERNEL_BYTES}");
    each
}

#[test]
fn stalled_clients_have_bounded_kernel_memory() {
    let _guard = one_at_a_time();
    let _watchdog = watchdog(120);
    // The clients do fill their buffers.
    let expected = KERNEL_BYTES / 3..=KERNEL_BYTES;
    // Other programs of the machine use TCP now and then.
    assert!((0..5).any(|_| expected.contains(&stalled_client_memory())));
}

#[test]
fn output_left_at_the_end_of_a_connection_is_discarded_soon() {
    const CLIENTS: usize = 10;
    let _guard = one_at_a_time();
    let _watchdog = watchdog(60);
    let server = ServerProcess::start(&[]);
    let mut sender = Client::join(server.address);
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| narrow_client(server.address))
        .collect();
    // As much as the kernel takes without a writer thread.
    for _ in 0..4 {
        sender.send_text(&"x".repeat(32 << 10));
        sender.recv_text();
    }
    for client in &mut clients {
        client.send(&raw::frame(CLOSE, &1000u16.to_be_bytes()));
    }
    for client in &clients {
        let ended = client.socket.shutdown(Shutdown::Write);
        ended.expect("the connection is open");
    }
    let port = server.address.port();
    eventually("the server forgets the clients", || {
        orphans(port).len() == CLIENTS
    });
    let start = Instant::now();
    eventually("the kernel forgets them", || orphans(port).is_empty());
    println!("after {:?}", start.elapsed());
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
}
