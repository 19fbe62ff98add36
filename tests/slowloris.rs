//! Unfinished requests (Slowloris): real clients still connect, and the unfinished requests are evicted or time out.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::raw::{connect_from, handshake};
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

/// Opens connections and sends an unfinished request on each.
fn start_requests(server: &ServerProcess, count: usize) -> Vec<RawClient> {
    let start = |_| {
        let mut raw = RawClient::connect(server.address);
        // The server can have evicted this handshake already.
        let _ = raw.try_send(b"GET /chat HTTP/1.1\r\nHost: x\r\n");
        raw
    };
    (0..count).map(start).collect()
}

/// Returns the longest time in which one of twenty real clients is greeted.
fn slowest_greeting(server: &ServerProcess) -> Duration {
    let join = |_| {
        let start = Instant::now();
        Client::join(server.address).close();
        start.elapsed()
    };
    (0..20).map(join).max().unwrap_or_default()
}

#[test]
fn two_hundred_unfinished_requests_do_not_delay_clients() {
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&[]);
    let descriptors = server.descriptors();
    let mut requests = start_requests(&server, 200);
    eventually("the server reads all of them", || {
        server.threads() == BASELINE_THREADS + 200
    });
    let slowest = slowest_greeting(&server);
    println!("slowest greeting beside 200 unfinished requests: {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Each request times out after ten seconds.
    for request in &mut requests {
        assert!(request.head().starts_with("HTTP/1.1 408 "));
    }
    drop(requests);
    eventually("the threads have ended", || {
        server.threads() == BASELINE_THREADS
    });
    eventually("the descriptors are closed", || {
        server.descriptors() == descriptors
    });
}

#[test]
fn over_the_limit_the_oldest_request_is_evicted() {
    let _watchdog = watchdog(120);
    // With a small connection limit, 64 handshakes can still be pending.
    let limit = 64;
    let server = ServerProcess::start(&["--max-connections", "20"]);
    let mut client = Client::join(server.address);
    let start = Instant::now();
    let mut requests = start_requests(&server, 5 * limit);
    // The oldest request is evicted long before its timeout of ten seconds.
    assert!(requests[0].rest().map_or(true, |rest| rest.is_empty()));
    let evicted = start.elapsed();
    assert!(evicted < Duration::from_secs(9), "{evicted:?}");
    let slowest = slowest_greeting(&server);
    println!(
        "slowest greeting beside {} unfinished requests, at most {limit} pending: {slowest:?}",
        requests.len()
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    eventually("the threads of evicted requests end", || {
        server.threads() <= BASELINE_THREADS + limit + 3
    });
    // The client is older than all requests, but not evicted, because its handshake is complete.
    client.send_text("still here");
    client.recv_until(|text| text == "[user0]: still here");
}

#[test]
fn browser_preconnects_are_served_with_a_low_connection_limit() {
    let _watchdog = watchdog(60);
    let server = ServerProcess::start(&["--max-connections", "1"]);
    let idle: Vec<RawClient> = (0..10)
        .map(|_| RawClient::connect(server.address))
        .collect();
    let mut requests: Vec<RawClient> = (0..10)
        .map(|_| RawClient::connect(server.address))
        .collect();
    for request in &mut requests {
        request.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for request in &mut requests {
        assert!(request.head().starts_with("HTTP/1.1 200 "));
    }
    Client::join(server.address).close();
    drop(idle);
}

#[test]
fn one_address_does_not_evict_the_requests_of_others() {
    let _watchdog = watchdog(60);
    let limit = 64;
    let server = ServerProcess::start(&["--max-connections", "20"]);
    let mut idle = start_requests(&server, 2 * limit);
    let mut client = RawClient::from_socket(connect_from([127, 0, 0, 2], server.address));
    let handshake = handshake("/chat", "");
    let (begin, rest) = handshake.split_at(20);
    client.send(begin.as_bytes());
    let begun = Instant::now();
    idle.extend(start_requests(&server, 5 * limit));
    thread::sleep(Duration::from_millis(300).saturating_sub(begun.elapsed()));
    client.send(rest.as_bytes());
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}
