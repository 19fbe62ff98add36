//! Clients that do not read, or hardly, while others chat at full speed.

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

const CHATTING: usize = 32;
const STUCK: usize = 200;
const EACH: usize = 300;
const TEXT: usize = 2 << 10;
/// Nobody speaks before it has heard what all said so many rounds ago. Otherwise a client whose thread gets no time for
/// a second is a megabyte behind, and rightly cut off.
const AHEAD: usize = 4;

/// All chat, and each hears everything that each says, in one order: how long that takes.
fn chat(address: SocketAddr) -> Duration {
    let clients: Vec<Client> = (0..CHATTING).map(|_| Client::join(address)).collect();
    let text = "x".repeat(TEXT);
    let begin = Instant::now();
    let heard: Vec<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(sender, mut client)| {
                let text = &text;
                scope.spawn(move || {
                    let (mut heard, mut rounds) = (Vec::new(), [0; EACH]);
                    let mut hear_round = |client: &mut Client, round: usize| {
                        while rounds[round] < CHATTING {
                            let line = client.recv_text();
                            let number = line
                                .split([' ', 'x'])
                                .nth(1)
                                .and_then(|number| number.parse().ok());
                            let number: usize =
                                number.unwrap_or_else(|| panic!("no number in {line:.40}"));
                            rounds[number % EACH] += 1;
                            heard.push(number);
                        }
                    };
                    for round in 0..EACH {
                        client.send_text(&format!("{} {text}", sender * EACH + round));
                        if let Some(round) = round.checked_sub(AHEAD) {
                            hear_round(&mut client, round);
                        }
                    }
                    (0..EACH).for_each(|round| hear_round(&mut client, round));
                    client.close();
                    heard
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no client fails"))
            .collect()
    });
    let took = begin.elapsed();
    assert!(
        heard.iter().all(|sequence| *sequence == heard[0]),
        "two clients saw different sequences"
    );
    let mut all = heard[0].clone();
    all.sort_unstable();
    assert!(
        all.into_iter().eq(0..CHATTING * EACH),
        "a message is missing or doubled"
    );
    took
}

#[test]
fn two_hundred_that_never_read_do_not_slow_thirty_two_that_chat() {
    let _watchdog = watchdog(180);
    let mut program = ServerProcess::start(&[]);
    let alone = chat(program.address);
    eventually("all have left", || program.threads() == BASELINE_THREADS);
    let descriptors = program.descriptors();
    let stuck: Vec<RawClient> = (0..STUCK)
        .map(|_| RawClient::upgraded(program.address, "/chat"))
        .collect();
    let beside = chat(program.address);
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "alone {alone:?}, beside {STUCK} that never read {beside:?}: {ratio:.2}; peak {} KiB",
        program.peak_kb()
    );
    for _ in 0..STUCK {
        program.wait_for_log("too slow");
    }
    eventually("their threads have ended", || {
        program.threads() == BASELINE_THREADS
    });
    eventually("their descriptors are closed", || {
        program.descriptors() == descriptors
    });
    // It costs the system calls that fill their sockets, once.
    assert!(ratio < 10.0, "{ratio:.2}");
    drop(stuck);
}

#[test]
fn one_that_reads_a_byte_at_a_time_and_one_that_stops_in_a_frame_are_cut_off_alone() {
    let _watchdog = watchdog(180);
    let mut program = ServerProcess::start(&[]);
    let mut trickle = RawClient::upgraded(program.address, "/chat");
    let mut stopped = RawClient::upgraded(program.address, "/chat");
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let reader = thread::spawn(move || {
        let mut byte = [0];
        stopped
            .socket
            .read_exact(&mut byte)
            .expect("the first byte of its greeting");
        while !finished.load(Ordering::Relaxed)
            && trickle.socket.read(&mut byte).is_ok_and(|n| n > 0)
        {
            // That slowness is what this test is about.
            thread::sleep(Duration::from_millis(100));
        }
        stopped
    });
    let mut chats = Client::join(program.address);
    let text = "x".repeat(32 << 10);
    let mut gone = 0;
    while gone < 2 {
        chats.send_text(&text);
        assert_eq!(chats.recv_text().len(), "[user2]: ".len() + text.len());
        gone += usize::from(program.find_in_log("too slow").is_some());
    }
    done.store(true, Ordering::Relaxed);
    drop(reader.join().expect("the reader ends"));
    chats.close();
    eventually("nothing is left of them", || {
        program.threads() == BASELINE_THREADS
    });
}
