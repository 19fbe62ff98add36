//! One client that sends as fast as it can, whatever it is: whoever chats beside it is served, and the server stops in
//! time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

/// How long others may take to be heard, half of the time, on a machine that is busy with the flood and other tests.
const PATIENCE: Duration = Duration::from_secs(1);

/// The delays of somebody who chats beside the flood, sorted.
fn chat_beside(name: &str, first: Vec<u8>, again: Vec<u8>) -> ServerProcess {
    let mut program = ServerProcess::start(&[]);
    let crowd: Vec<Client> = (0..100).map(|_| Client::join(program.address)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (flooder, stopped) = (
        RawClient::upgraded(program.address, "/chat"),
        Arc::clone(&stop),
    );
    let flooding = thread::spawn(move || flooder.flood(&first, &again, &stopped));
    let mut chats = Client::join(program.address);
    let delays = chats.delays("user101");
    stop.store(true, Ordering::Relaxed);
    let sent = flooding.join().expect("the flood ends");
    println!(
        "{name}: {sent} sent; delay of others: median {:?}, most {:?}",
        delays[50], delays[99]
    );
    assert!(sent > 0 && delays[50] < PATIENCE, "{delays:?}");
    program.wait_for_log("user100 left");
    drop((crowd, chats));
    eventually("nothing is left of them", || {
        program.threads() == BASELINE_THREADS
    });
    program
}

#[test]
fn of_messages() {
    let _watchdog = watchdog(120);
    chat_beside("messages", Vec::new(), raw::frame(0x81, b"flood"));
}

#[test]
fn of_pings() {
    let _watchdog = watchdog(120);
    chat_beside("pings", Vec::new(), raw::frame(0x89, b"ping"));
}

#[test]
fn of_empty_fragments() {
    let _watchdog = watchdog(120);
    chat_beside(
        "empty fragments",
        raw::frame(0x01, b"begins"),
        raw::frame(0x00, b""),
    );
}

#[test]
fn of_questions_who_is_here() {
    let _watchdog = watchdog(120);
    chat_beside("/who", Vec::new(), raw::frame(0x81, b"/who"));
}

#[test]
fn who_pings_and_never_reads_is_cut_off() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&[]);
    let mut pings = RawClient::upgraded(program.address, "/chat");
    let many = raw::frame(0x89, &[7; 125]).repeat(1000);
    while pings.try_send(&many).is_ok() {}
    assert!(program.wait_for_log("user0 left").contains("too slow"));
    let most = 16 << 10;
    assert!(program.peak_kb() < most, "{} KiB", program.peak_kb());
}

#[test]
fn endless_fragments_do_not_hold_up_the_end() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    let (flooder, stopped) = (
        RawClient::upgraded(program.address, "/chat"),
        Arc::clone(&stop),
    );
    let flooding = thread::spawn(move || {
        flooder.flood(&raw::frame(0x01, b"x"), &raw::frame(0x00, b""), &stopped)
    });
    let begin = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
    stop.store(true, Ordering::Relaxed);
    flooding.join().expect("the flood ends");
}
