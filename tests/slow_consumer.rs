//! A client that stops reading costs a bounded amount of memory, is cut off with the reason in the log, and nobody
//! else notices.

mod support;

use std::time::Duration;

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

/// Larger than most, so that what the kernel buffers for a client that does not read is soon full.
const TEXT: usize = 32 << 10;

#[test]
fn others_go_on_while_the_slow_ones_are_cut_off() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&[]);
    let mut chats = Client::join(program.address);
    let (before, descriptors) = (program.resident_kb(), program.descriptors());
    let stuck: Vec<_> = (0..8)
        .map(|_| RawClient::upgraded(program.address, "/chat"))
        .collect();
    let text = "x".repeat(TEXT);
    let mut cut_off = 0;
    while cut_off < stuck.len() {
        // One message at a time: whoever reads hears each before the next is said.
        for _ in 0..50 {
            chats.send_text(&text);
            assert_eq!(chats.recv_text().len(), "[user0]: ".len() + TEXT);
        }
        // How many have gone is in the greeting of a newcomer.
        let mut probe = Client::connect(program.address, "/chat");
        cut_off = 2 + stuck.len() - support::users(&probe.recv_text());
        probe.close();
    }
    for _ in &stuck {
        let line = program.wait_for_log("too slow");
        assert!(line.contains(" bytes waiting"), "{line}");
    }
    // A MiB for each may wait, and the rest of the process is small.
    let most = before + stuck.len() * 1024 + 8 * 1024;
    assert!(
        program.peak_kb() < most,
        "{} of {most} KiB",
        program.peak_kb()
    );
    eventually("their writer threads are gone", || {
        program.threads() <= BASELINE_THREADS + 1
    });
    eventually("their descriptors are closed", || {
        program.descriptors() <= descriptors
    });
    chats.send_text("still here");
    assert_eq!(chats.recv_text(), "[user0]: still here");
}

#[test]
fn a_client_that_catches_up_has_missed_nothing() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&["--max-backlog", "67108864", "--log-level", "debug"]);
    let mut chats = Client::join(program.address);
    let mut behind = Client::join(program.address);
    let mut said = 0;
    let text = "x".repeat(TEXT);
    // The log tells when the socket of the one that does not read is full.
    let writer = loop {
        chats.send_text(&format!("{said} {text}"));
        chats.recv_text();
        said += 1;
        if let Some(line) = program.find_in_log("has fallen behind") {
            break line;
        }
    };
    assert!(!writer.is_empty());
    for number in 0..said {
        assert!(
            behind
                .recv_text()
                .starts_with(&format!("[user0]: {number} x")),
            "{number}"
        );
    }
    program.wait_for_log("has caught up");
    eventually("its writer thread is gone", || {
        program.threads() <= BASELINE_THREADS + 2
    });
    chats.send_text("together");
    assert_eq!(
        (chats.recv_text(), behind.recv_text()),
        ("[user0]: together".into(), "[user0]: together".into())
    );
}

#[test]
fn a_client_that_takes_nothing_for_the_write_deadline_is_cut_off() {
    let _watchdog = watchdog(120);
    // The backlog is far from full: it is the time that counts.
    let mut program = ServerProcess::start(&[
        "--max-backlog",
        "1073741824",
        "--log-level",
        "debug",
        "--ping",
        "0",
    ]);
    let mut chats = Client::join(program.address);
    let stuck = RawClient::upgraded(program.address, "/chat");
    let text = "x".repeat(TEXT);
    while program.find_in_log("has fallen behind").is_none() {
        chats.send_text(&text);
        chats.recv_text();
    }
    let begin = std::time::Instant::now();
    assert!(
        program
            .wait_for_log("too slow")
            .contains("took nothing for the whole write deadline")
    );
    assert!(
        begin.elapsed() > Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
    drop(stuck);
}
