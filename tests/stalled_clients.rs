//! Clients that read nothing or little do not slow down clients that chat at full speed.

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
const STALLED: usize = 200;
const ROUNDS: usize = 300;
const TEXT_SIZE: usize = 2 << 10;
/// Rounds by which a client can be ahead of the slowest one. Without this limit, a client whose thread is not scheduled
/// for a second falls a megabyte behind and is rightly disconnected.
const MAX_ROUNDS_AHEAD: usize = 4;

/// Lets clients chat, checks that all of them receive all messages in the same order, and returns the duration.
fn chat(address: SocketAddr) -> Duration {
    let clients: Vec<Client> = (0..CHATTING).map(|_| Client::join(address)).collect();
    let text = "x".repeat(TEXT_SIZE);
    let start = Instant::now();
    let received: Vec<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(sender, mut client)| {
                let text = &text;
                scope.spawn(move || {
                    let (mut received, mut rounds) = (Vec::new(), [0; ROUNDS]);
                    let mut read_round = |client: &mut Client, round: usize| {
                        while rounds[round] < CHATTING {
                            let line = client.recv_text();
                            let number = line
                                .split([' ', 'x'])
                                .nth(1)
                                .and_then(|number| number.parse().ok());
                            let number: usize =
                                number.unwrap_or_else(|| panic!("no number in {line:.40}"));
                            rounds[number % ROUNDS] += 1;
                            received.push(number);
                        }
                    };
                    for round in 0..ROUNDS {
                        client.send_text(&format!("{} {text}", sender * ROUNDS + round));
                        if let Some(round) = round.checked_sub(MAX_ROUNDS_AHEAD) {
                            read_round(&mut client, round);
                        }
                    }
                    (0..ROUNDS).for_each(|round| read_round(&mut client, round));
                    client.close();
                    received
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no client thread panics"))
            .collect()
    });
    let elapsed = start.elapsed();
    assert!(
        received.iter().all(|sequence| *sequence == received[0]),
        "two clients received different sequences"
    );
    let mut numbers = received[0].clone();
    numbers.sort_unstable();
    assert!(
        numbers.into_iter().eq(0..CHATTING * ROUNDS),
        "a message is missing or duplicated"
    );
    elapsed
}

#[test]
fn two_hundred_stalled_clients_do_not_slow_down_thirty_two_others() {
    let _watchdog = watchdog(180);
    let mut server = ServerProcess::start(&[]);
    let descriptors = server.descriptors();
    let alone = chat(server.address);
    eventually("all clients have disconnected", || {
        server.threads() == BASELINE_THREADS
    });
    let stalled: Vec<RawClient> = (0..STALLED)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    let beside_stalled = chat(server.address);
    let ratio = beside_stalled.as_secs_f64() / alone.as_secs_f64();
    println!(
        "alone {alone:?}, beside {STALLED} stalled clients {beside_stalled:?}: ratio {ratio:.2}; peak {} KiB",
        server.peak_kb()
    );
    for _ in 0..STALLED {
        server.wait_for_log("too slow");
    }
    eventually("their threads have ended", || {
        server.threads() == BASELINE_THREADS
    });
    eventually("their descriptors are closed", || {
        server.descriptors() == descriptors
    });
    // The extra cost is the system calls that fill the sockets of the stalled clients once.
    assert!(ratio < 10.0, "{ratio:.2}");
    drop(stalled);
}

#[test]
fn slow_and_stopped_readers_are_disconnected_without_an_effect_on_others() {
    let _watchdog = watchdog(180);
    let mut server = ServerProcess::start(&[]);
    let mut slow = RawClient::upgraded(server.address, "/chat");
    let mut stopped = RawClient::upgraded(server.address, "/chat");
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let reader = thread::spawn(move || {
        let mut byte = [0];
        stopped
            .socket
            .read_exact(&mut byte)
            .expect("the server sends a greeting");
        while !finished.load(Ordering::Relaxed) && slow.socket.read(&mut byte).is_ok_and(|n| n > 0)
        {
            // A pause per byte makes this client the slow reader.
            thread::sleep(Duration::from_millis(100));
        }
        stopped
    });
    let mut client = Client::join(server.address);
    let text = "x".repeat(32 << 10);
    let mut disconnected = 0;
    while disconnected < 2 {
        client.send_text(&text);
        assert_eq!(client.recv_text().len(), "[user2]: ".len() + text.len());
        disconnected += usize::from(server.find_in_log("too slow").is_some());
    }
    done.store(true, Ordering::Relaxed);
    drop(reader.join().expect("the reader does not panic"));
    client.close();
    eventually("their threads have ended", || {
        server.threads() == BASELINE_THREADS
    });
}
