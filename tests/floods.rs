//! One client that sends as fast as it can, whatever it is: whoever chats beside it is served, and the server stops in
//! time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::program::OWN_THREADS;
use support::{Client, Program, Raw, deadline, eventually, raw};

/// How long others may take to be heard, half of the time, on a machine that is busy with the flood and other tests.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends `first` once and then `again` as fast as it can, reading what comes, until told to stop. Returns how often.
fn flood(mut flooder: Raw, first: Vec<u8>, again: Vec<u8>, stop: Arc<AtomicBool>) -> u64 {
    let mut reader = flooder.socket.try_clone().expect("a second handle");
    let reads = thread::spawn(move || {
        let mut sink = vec![0; 256 << 10];
        while std::io::Read::read(&mut reader, &mut sink).is_ok_and(|n| n > 0) {}
    });
    flooder.send(&first);
    let many = again.repeat(1000);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) && flooder.try_send(&many).is_ok() {
        sent += 1000;
    }
    flooder.socket.shutdown(std::net::Shutdown::Both).ok();
    reads.join().expect("the reader ends");
    sent
}

/// The delays of somebody who chats beside the flood, sorted.
fn chat_beside(name: &str, first: Vec<u8>, again: Vec<u8>) -> Program {
    let mut program = Program::start(&[]);
    let crowd: Vec<Client> = (0..100).map(|_| Client::join(program.address)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (flooder, stopped) = (Raw::upgraded(program.address, "/chat"), Arc::clone(&stop));
    let flooding = thread::spawn(move || flood(flooder, first, again, stopped));
    let mut chats = Client::join(program.address);
    let mut delays = Vec::new();
    for number in 0..100 {
        let text = format!("[user101]: {number}");
        let begin = Instant::now();
        chats.say(&number.to_string());
        chats.hear_until(|heard| heard == text);
        delays.push(begin.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let sent = flooding.join().expect("the flood ends");
    delays.sort();
    println!(
        "{name}: {sent} sent; delay of others: median {:?}, most {:?}",
        delays[50], delays[99]
    );
    assert!(sent > 0 && delays[50] < PATIENCE, "{delays:?}");
    program.logged("user100 left");
    drop((crowd, chats));
    eventually("nothing is left of them", || {
        program.threads() == OWN_THREADS
    });
    program
}

#[test]
fn of_messages() {
    let _deadline = deadline(120);
    chat_beside("messages", Vec::new(), raw::frame(0x81, b"flood"));
}

#[test]
fn of_pings() {
    let _deadline = deadline(120);
    chat_beside("pings", Vec::new(), raw::frame(0x89, b"ping"));
}

#[test]
fn of_empty_fragments() {
    let _deadline = deadline(120);
    chat_beside(
        "empty fragments",
        raw::frame(0x01, b"begins"),
        raw::frame(0x00, b""),
    );
}

#[test]
fn of_questions_who_is_here() {
    let _deadline = deadline(120);
    chat_beside("/who", Vec::new(), raw::frame(0x81, b"/who"));
}

#[test]
fn who_pings_and_never_reads_is_cut_off() {
    let _deadline = deadline(120);
    let mut program = Program::start(&[]);
    let mut pings = Raw::upgraded(program.address, "/chat");
    let many = raw::frame(0x89, &[7; 125]).repeat(1000);
    while pings.try_send(&many).is_ok() {}
    assert!(program.logged("user0 left").contains("too slow"));
    let most = 16 << 10;
    assert!(program.peak_kb() < most, "{} KiB", program.peak_kb());
}

#[test]
fn endless_fragments_do_not_hold_up_the_end() {
    let _deadline = deadline(120);
    let mut program = Program::start(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    let (flooder, stopped) = (Raw::upgraded(program.address, "/chat"), Arc::clone(&stop));
    let flooding = thread::spawn(move || {
        flood(
            flooder,
            raw::frame(0x01, b"x"),
            raw::frame(0x00, b""),
            stopped,
        )
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
