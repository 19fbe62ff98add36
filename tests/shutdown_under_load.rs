//! Stopping while a thousand chat: each gets its Close, and the program ends in time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{RawClient, ServerProcess, raw, watchdog};

const CROWD: usize = 1000;
const SPEAKERS: usize = 20;

#[test]
fn each_of_a_thousand_gets_1001_and_the_program_ends_with_0() {
    let _watchdog = watchdog(120);
    support::raise_nofile_limit();
    let mut program = ServerProcess::start(&["--max-connections", "1000"]);
    let mut crowd: Vec<RawClient> = (0..CROWD)
        .map(|_| RawClient::upgraded(program.address, "/chat"))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let speakers: Vec<_> = crowd[..SPEAKERS]
        .iter()
        .map(|speaker| {
            let mut socket = speaker.socket.try_clone().expect("a second handle");
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let frame = raw::frame(0x81, b"something to say");
                // It ends when the server has closed, too.
                while !stop.load(Ordering::Relaxed)
                    && std::io::Write::write_all(&mut socket, &frame).is_ok()
                {
                    thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();
    // The chat is in full swing when everybody has heard something.
    for client in &mut crowd {
        while !client
            .frame()
            .expect("no reset")
            .is_some_and(|frame| frame.1.ends_with(b"something to say"))
        {}
    }
    let begin = Instant::now();
    program.signal(Signal::TERM);
    for client in &mut crowd {
        let close = loop {
            match client.frame().expect("no reset") {
                Some((0x88, payload)) => break payload,
                Some(_) => {}
                None => panic!("closed without a Close"),
            }
        };
        assert_eq!(close[..2], 1001u16.to_be_bytes());
        // It may be cut off by now, if this took longer than the grace.
        let _ = client.try_send(&raw::frame(0x88, &close[..2]));
    }
    assert_eq!(program.wait().code(), Some(0));
    println!("{CROWD} closed in {:?}", begin.elapsed());
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    stop.store(true, Ordering::Relaxed);
    speakers
        .into_iter()
        .for_each(|speaker| speaker.join().expect("no speaker fails"));
}
