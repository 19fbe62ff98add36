//! Clients that are slow with their head, or gone before it is answered: nothing of them stays behind.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::cases::TEXT;
use support::raw::{frame, handshake};
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

#[test]
fn a_byte_a_second_and_an_end_that_never_comes_are_answered_408_after_ten_seconds() {
    let _watchdog = watchdog(120);
    let program = ServerProcess::start(&[]);
    let before = (BASELINE_THREADS, program.descriptors());
    let start = Instant::now();
    let mut silent = RawClient::connect(program.address);
    let mut endless = RawClient::connect(program.address);
    endless.send(b"GET /chat HTTP/1.1\r\nHost: x\r\n");
    let mut slow = RawClient::connect(program.address);
    for byte in b"GET /chat HTTP/1.1\r\n" {
        if slow.try_send(&[*byte]).is_err() || start.elapsed() > Duration::from_secs(10) {
            break;
        }
        thread::sleep(Duration::from_secs(1));
    }
    for (raw, what) in [(&mut slow, "slow"), (&mut endless, "endless")] {
        let answer = raw.rest().expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{what}: {answer}");
    }
    // Who said nothing is told nothing.
    assert_eq!(silent.rest().expect("it ends"), b"");
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_secs(9) && elapsed < Duration::from_secs(20),
        "{elapsed:?}"
    );
    drop((silent, endless, slow));
    eventually("nothing is left", || {
        (program.threads(), program.descriptors()) == before
    });
}

#[test]
fn a_client_that_vanishes_at_any_step_leaves_nothing() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&[]);
    let before = (BASELINE_THREADS, program.descriptors());
    let head = handshake("/chat", "");
    let text = frame(TEXT, b"hello");
    let begun = frame(0x01, b"hello");
    let all = [head.as_bytes(), &text, &begun].concat();
    let steps = (0..head.len()).step_by(17).chain(head.len()..=all.len());
    let mut clients = 0;
    for step in steps {
        for reset in [false, true] {
            let mut raw = RawClient::connect(program.address);
            raw.send(&all[..step]);
            if reset {
                rustix::net::sockopt::set_socket_linger(&raw.socket, Some(Duration::ZERO))
                    .expect("a TCP socket");
            }
            clients += 1;
        }
        let mut raw = RawClient::connect(program.address);
        raw.send(&all[..step]);
        if step >= head.len() {
            raw.head();
            clients += 1;
        }
    }
    for request in ["GET /health HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n"] {
        RawClient::connect(program.address).send(request.as_bytes());
    }
    eventually("nothing is left", || {
        (program.threads(), program.descriptors()) == before
    });
    eprintln!("{clients} clients vanished");
    Client::join(program.address).close();
    program.signal(rustix::process::Signal::TERM);
    assert!(program.wait().success());
    let log = program.remaining_log().join("\n");
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
}
