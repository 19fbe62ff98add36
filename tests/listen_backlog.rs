//! A crowd that connects at once waits in the accept queue of the system.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use support::{ServerProcess, raise_nofile_limit, watchdog};

/// Time for one connection attempt, less than that of a repeated SYN, which is a second.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Returns how many of `clients` connection attempts succeed while the server does not accept any.
fn queued(args: &[&str], clients: usize) -> usize {
    let server = ServerProcess::start(args);
    server.signal(Signal::STOP);
    let connect = |address: &SocketAddr| TcpStream::connect_timeout(address, CONNECT_TIMEOUT).ok();
    let sockets: Vec<TcpStream> = (0..clients)
        .map_while(|_| connect(&server.address))
        .collect();
    server.signal(Signal::CONT);
    sockets.len()
}

#[test]
fn a_crowd_waits_to_be_accepted() {
    let _watchdog = watchdog(60);
    raise_nofile_limit();
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("Linux has the limit");
    let limit: usize = limit.trim().parse().expect("a number");
    let clients = limit.min(1000);
    assert_eq!(queued(&[], clients), clients);
}

#[test]
fn the_option_sets_the_size_of_the_queue() {
    let _watchdog = watchdog(60);
    let queued = queued(&["--listen-backlog", "5"], 20);
    // Linux queues one more than the number.
    assert!((5..=6).contains(&queued), "{queued}");
}
