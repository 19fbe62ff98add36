//! One client that sends as fast as it can does not keep the others from chatting.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, Program, deadline};
use tungstenite::Message;

#[test]
fn others_are_served_while_one_floods() {
    let _deadline = deadline(120);
    let program = Program::start(&[]);
    let mut flooder = Client::join(program.address);
    let mut writer = flooder
        .socket
        .get_ref()
        .try_clone()
        .expect("a second handle");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = thread::spawn(move || {
        let frames = support::raw::frame(0x81, b"flood").repeat(1000);
        let mut sent = 0u64;
        while !stopped.load(Ordering::Relaxed) {
            std::io::Write::write_all(&mut writer, &frames).expect("the server reads on");
            sent += 1000;
        }
        sent
    });
    // It takes what comes, so it is not the one that is cut off.
    let reader = thread::spawn(move || {
        let mut heard = 0u64;
        while let Ok(Message::Text(text)) = flooder.next() {
            heard += u64::from(text.ends_with("flood"));
            if text.ends_with("that is all") {
                break;
            }
        }
        heard
    });
    let mut chats = Client::join(program.address);
    let mut delays = Vec::new();
    for number in 0..100 {
        let text = format!("[user1]: {number}");
        let begin = Instant::now();
        chats.say(&number.to_string());
        chats.hear_until(|heard| heard == text);
        delays.push(begin.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let sent = flood.join().expect("the flood ends");
    chats.say("that is all");
    let heard = reader.join().expect("the flooder hears");
    delays.sort();
    println!(
        "{sent} messages of the flood; delay of others: median {:?}, most {:?}",
        delays[50], delays[99]
    );
    assert!(sent > 1000 && heard > 0);
    assert!(delays[50] < Duration::from_secs(1), "{delays:?}");
}
