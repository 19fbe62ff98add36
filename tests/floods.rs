//! A client that sends frames of one kind as fast as possible delays neither other clients nor the shutdown.

mod support;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::cases::{CONTINUATION, PING, TEXT};
use support::server_process::BASELINE_THREADS;
use support::{Client, Flood, RawClient, ServerProcess, eventually, raw, watchdog};

/// Limit of the median round trip of other clients, on a machine that is busy with the flood and other tests.
const MAX_MEDIAN_DELAY: Duration = Duration::from_secs(1);

/// Floods a server with 100 other clients, measures the round trips of one more, and checks that all of them leave
/// nothing behind.
fn flood(name: &str, repeated: Vec<u8>) {
    let mut server = ServerProcess::start(&[]);
    let others: Vec<Client> = (0..100).map(|_| Client::join(server.address)).collect();
    let flood = Flood::start(server.address, repeated);
    let mut client = Client::join(server.address);
    let delays = client.delays("user101");
    let sent = flood.stop();
    println!(
        "{name}: {sent}000 sent; delay of others: median {:?}, maximum {:?}",
        delays[50], delays[99]
    );
    assert!(delays[50] < MAX_MEDIAN_DELAY, "{delays:?}");
    server.wait_for_log("user100 left");
    drop((others, client));
    eventually("their threads have ended", || {
        server.threads() == BASELINE_THREADS
    });
}

#[test]
fn message_flood_does_not_delay_others() {
    let _watchdog = watchdog(120);
    flood("messages", raw::frame(TEXT, b"flood"));
}

#[test]
fn ping_flood_does_not_delay_others() {
    let _watchdog = watchdog(120);
    flood("pings", raw::frame(PING, b"ping"));
}

/// Returns a message with as many empty fragments as one is allowed to have.
fn empty_fragments() -> Vec<u8> {
    [
        raw::fragment(TEXT, false, b"begins"),
        raw::fragment(CONTINUATION, false, b"").repeat(1000),
        raw::fragment(CONTINUATION, true, b"ends"),
    ]
    .concat()
}

#[test]
fn empty_fragment_flood_does_not_delay_others() {
    let _watchdog = watchdog(120);
    flood("empty fragments", empty_fragments());
}

#[test]
fn who_flood_does_not_delay_others() {
    let _watchdog = watchdog(120);
    flood("/who", raw::frame(TEXT, b"/who"));
}

#[test]
fn pinging_without_reading_exceeds_the_backlog() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[]);
    let mut client = RawClient::upgraded(server.address, "/chat");
    let chunk = raw::frame(PING, &[7; 125]).repeat(1000);
    while client.try_send(&chunk).is_ok() {}
    assert!(server.wait_for_log("user0 left").contains("too slow"));
    let max_kb = 16 << 10;
    assert!(server.peak_kb() < max_kb, "{} KiB", server.peak_kb());
}

#[test]
fn endless_fragments_do_not_delay_shutdown() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[]);
    let flood = Flood::start(server.address, empty_fragments());
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    flood.stop();
}
