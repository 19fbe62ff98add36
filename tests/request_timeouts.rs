//! Slow and aborted requests: they time out, and release their threads and descriptors.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::cases::TEXT;
use support::raw::{fragment, frame, handshake};
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

#[test]
fn slow_and_unfinished_requests_get_408_after_ten_seconds() {
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&[]);
    let before = (BASELINE_THREADS, server.descriptors());
    let start = Instant::now();
    let mut silent = RawClient::connect(server.address);
    let mut unfinished = RawClient::connect(server.address);
    unfinished.send(b"GET /chat HTTP/1.1\r\nHost: x\r\n");
    let mut slow = RawClient::connect(server.address);
    for byte in b"GET /chat HTTP/1.1\r\n" {
        // A byte long after the response would reset the connection.
        if start.elapsed() > Duration::from_secs(9) || slow.try_send(&[*byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_secs(1));
    }
    for (raw, name) in [(&mut slow, "slow"), (&mut unfinished, "unfinished")] {
        let response = raw.rest().expect("the server sends a response");
        let response = String::from_utf8_lossy(&response);
        assert!(response.starts_with("HTTP/1.1 408 "), "{name}: {response}");
    }
    // A client that sent no byte gets no response.
    assert_eq!(silent.rest().expect("the connection is not reset"), b"");
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_secs(9) && elapsed < Duration::from_secs(18),
        "{elapsed:?}"
    );
    drop((silent, unfinished, slow));
    eventually("threads and descriptors are released", || {
        (server.threads(), server.descriptors()) == before
    });
}

#[test]
fn disconnects_at_any_byte_of_the_request_release_everything() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[]);
    let before = (BASELINE_THREADS, server.descriptors());
    let head = handshake("/chat", "");
    let text = frame(TEXT, b"hello");
    let incomplete = fragment(TEXT, false, b"hello");
    let all = [head.as_bytes(), &text, &incomplete].concat();
    let steps = (0..head.len()).step_by(17).chain(head.len()..=all.len());
    let mut clients = 0;
    for step in steps {
        for reset in [false, true] {
            let mut raw = RawClient::connect(server.address);
            raw.send(&all[..step]);
            if reset {
                rustix::net::sockopt::set_socket_linger(&raw.socket, Some(Duration::ZERO))
                    .expect("TCP sockets have SO_LINGER");
            }
            clients += 1;
        }
        let mut raw = RawClient::connect(server.address);
        raw.send(&all[..step]);
        if step >= head.len() {
            raw.head();
            clients += 1;
        }
    }
    for request in ["GET /health HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n"] {
        RawClient::connect(server.address).send(request.as_bytes());
    }
    eventually("threads and descriptors are released", || {
        (server.threads(), server.descriptors()) == before
    });
    eprintln!("{clients} clients disconnected");
    Client::join(server.address).close();
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    let log = server.remaining_log().join("\n");
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
}
