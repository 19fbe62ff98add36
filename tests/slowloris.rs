//! Requests that are never finished: real clients get in, and the unfinished ones are gone in time.

mod support;

use std::time::{Duration, Instant};

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

fn unfinished(program: &ServerProcess, count: usize) -> Vec<RawClient> {
    let begin = |_| {
        let mut raw = RawClient::connect(program.address);
        // It may be the one that has to give way.
        let _ = raw.try_send(b"GET /chat HTTP/1.1\r\nHost: x\r\n");
        raw
    };
    (0..count).map(begin).collect()
}

/// How long the slowest of twenty real clients takes to be greeted.
fn slowest(program: &ServerProcess) -> Duration {
    let greet = |_| {
        let begin = Instant::now();
        Client::join(program.address).close();
        begin.elapsed()
    };
    (0..20).map(greet).max().unwrap_or_default()
}

#[test]
fn two_hundred_of_them_keep_nobody_out() {
    let _watchdog = watchdog(120);
    let program = ServerProcess::start(&[]);
    let descriptors = program.descriptors();
    let mut heads = unfinished(&program, 200);
    eventually("they are being read", || {
        program.threads() == BASELINE_THREADS + 200
    });
    let slowest = slowest(&program);
    println!("slowest greeting beside 200 unfinished heads: {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Ten seconds after they began, each is told so, and is gone.
    for head in &mut heads {
        assert!(head.head().starts_with("HTTP/1.1 408 "));
    }
    drop(heads);
    eventually("no thread is left", || {
        program.threads() == BASELINE_THREADS
    });
    eventually("no descriptor is left", || {
        program.descriptors() == descriptors
    });
}

#[test]
fn beyond_the_limit_the_oldest_gives_way_to_the_newest() {
    let _watchdog = watchdog(120);
    // However few connections may be open, 64 may be shaking hands.
    let limit = 64;
    let program = ServerProcess::start(&["--max-connections", "20"]);
    let mut inside = Client::join(program.address);
    let begin = Instant::now();
    let mut heads = unfinished(&program, 5 * limit);
    let slowest = slowest(&program);
    println!(
        "slowest greeting beside {} unfinished heads for {limit} places: {slowest:?}",
        heads.len()
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(
        program.threads() <= BASELINE_THREADS + limit + 3,
        "{}",
        program.threads()
    );
    // Who was the very first, and is no unfinished head any more, stays.
    inside.send_text("still here");
    inside.recv_until(|heard| heard == "[user0]: still here");
    // The first of them had to go long before its time was over.
    assert!(heads[0].rest().map_or(true, |rest| rest.is_empty()));
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_browser_that_opens_some_in_advance_is_served_where_few_connections_may_be_open() {
    let _watchdog = watchdog(60);
    let program = ServerProcess::start(&["--max-connections", "1"]);
    let idle: Vec<RawClient> = (0..10)
        .map(|_| RawClient::connect(program.address))
        .collect();
    let mut asking: Vec<RawClient> = (0..10)
        .map(|_| RawClient::connect(program.address))
        .collect();
    for request in &mut asking {
        request.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for request in &mut asking {
        assert!(request.head().starts_with("HTTP/1.1 200 "));
    }
    Client::join(program.address).close();
    drop(idle);
}
