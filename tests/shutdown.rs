//! Shutdown, by a signal or by an embedding program.

mod support;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::cases::{CLOSE, TEXT};
use support::{Client, RawClient, ServerProcess, TestServer, eventually, raw, watchdog};

/// The server's timeout of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tolerance for a busy machine.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Asserts that the log goes on to its last line.
fn assert_log_is_whole(log: &[String]) {
    assert!(
        log.last().is_some_and(|line| line.ends_with("stopped")),
        "{log:?}"
    );
}

#[test]
fn signals_close_all_connections_with_1001_and_exit_with_0() {
    let _watchdog = watchdog(60);
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = ServerProcess::start(&[]);
        let mut clients = [
            Client::join(server.address),
            Client::connect(server.address, "/echo"),
        ];
        server.signal(signal);
        for client in &mut clients {
            assert_eq!(client.expect_close(), 1001);
        }
        assert_eq!(server.wait().code(), Some(0));
        assert!(TcpStream::connect(server.address).is_err());
        let log = server.remaining_log();
        assert!(
            log.iter()
                .any(|line| line.contains("user0 left") && line.contains("shutdown")),
            "{log:?}"
        );
        assert_log_is_whole(&log);
    }
}

#[test]
fn unresponsive_client_delays_shutdown_by_the_close_timeout_only() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let silent = [
        RawClient::upgraded(server.address, "/chat"),
        RawClient::upgraded(server.address, "/echo"),
    ];
    let mut unfinished = RawClient::connect(server.address);
    unfinished.send(b"GET /chat");
    let start = Instant::now();
    server.signal(Signal::TERM);
    // The timeout of a request would end it with a response.
    let response = unfinished.rest().expect("the connection is not reset");
    assert_eq!(String::from_utf8_lossy(&response), "");
    assert_eq!(server.wait().code(), Some(0));
    // Less than the timeout for one client after the other.
    assert!(start.elapsed() < 2 * CLOSE_TIMEOUT, "{:?}", start.elapsed());
    drop(silent);
}

#[test]
fn second_signal_exits_immediately() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut silent = RawClient::upgraded(server.address, "/chat");
    server.signal(Signal::INT);
    // The Close shows that the first signal has been handled.
    while silent
        .frame()
        .expect("the connection is not reset")
        .is_some_and(|frame| frame.0 != CLOSE)
    {}
    let start = Instant::now();
    // A signal has an effect again some time after the first one. The connection ends with the process.
    eventually("the server exits", || {
        server.signal(Signal::INT);
        silent.try_send(&raw::frame(TEXT, b"x")).is_err()
    });
    assert_eq!(server.wait().code(), Some(130));
    assert!(start.elapsed() < CLOSE_TIMEOUT, "{:?}", start.elapsed());
    let log = server.remaining_log();
    assert!(
        log.last()
            .is_some_and(|line| line.contains("second signal")),
        "{log:?}"
    );
}

#[test]
fn signals_within_half_a_second_count_as_one() {
    let _watchdog = watchdog(60);
    for _ in 0..8 {
        let mut server = ServerProcess::start(&[]);
        let mut client = Client::join(server.address);
        // Different signals, because a signal that is already pending is not sent again. Both wait for a stopped server, so
        // that they arrive together.
        for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
            server.signal(signal);
        }
        assert_eq!(client.expect_close(), 1001);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.remaining_log();
        assert_log_is_whole(&log);
    }
}

#[test]
fn inherited_ignored_signals_stay_ignored() {
    let _watchdog = watchdog(60);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "trap '' INT HUP; exec \"$0\" --listen 127.0.0.1:0"])
        .arg(env!("CARGO_BIN_EXE_threadchat"));
    let mut server = ServerProcess::spawn(command);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))
        .expect("the server is running");
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .expect("the status has the mask of ignored signals");
    // SIGHUP is 1, and SIGINT is 2.
    assert_eq!(mask & 0b11, 0b11, "{status}");
    server.signal(Signal::INT);
    server.signal(Signal::HUP);
    let mut client = Client::join(server.address);
    server.signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn shutdown_handle_ends_run() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    let (shutdown_handle, address) = (server.shutdown_handle.clone(), server.address);
    let shutdown_thread = thread::spawn(move || server.shutdown());
    assert_eq!(client.expect_close(), 1001);
    assert!(
        shutdown_thread
            .join()
            .expect("shutdown does not panic")
            .is_ok()
    );
    assert!(TcpStream::connect(address).is_err());
    // A repeated shutdown has no effect.
    shutdown_handle.shutdown();
}

#[test]
fn shutdown_completes_under_message_load() {
    let _watchdog = watchdog(120);
    let mut server = ServerProcess::start(&[]);
    let clients: Vec<_> = (0..50).map(|_| Client::join(server.address)).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, mut client)| {
            thread::spawn(move || {
                let own = format!("[user{number}]: ball");
                (0..8).for_each(|_| client.send_text("ball"));
                loop {
                    match client.next_message() {
                        Ok(tungstenite::Message::Text(text)) if text.as_str() == own => {
                            // The server can have sent its Close already.
                            let _ = client.socket.send(tungstenite::Message::text("ball"));
                        }
                        Ok(tungstenite::Message::Close(frame)) => {
                            return frame.map(|frame| frame.code.into());
                        }
                        Ok(_) => {}
                        Err(error) => panic!("expected a Close: {error}"),
                    }
                }
            })
        })
        .collect();
    let mut observer = Client::join(server.address);
    for _ in 0..1000 {
        observer.recv_text();
    }
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(observer.expect_close(), 1001);
    for thread in threads {
        assert_eq!(
            thread.join().expect("each client receives a Close"),
            Some(1001u16)
        );
    }
    assert_eq!(server.wait().code(), Some(0));
    println!("shut down in {:?}", start.elapsed());
    assert!(
        start.elapsed() < CLOSE_TIMEOUT + TOLERANCE,
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn killed_server_can_restart_on_its_port_immediately() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let address = server.address.to_string();
    let client = Client::join(server.address);
    server.signal(Signal::KILL);
    server.wait();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command.args(["--listen", &address]);
    let restarted = ServerProcess::spawn(command);
    assert_eq!(restarted.address.to_string(), address);
    drop(client);
    eventually("the restarted server accepts clients", || {
        Client::connect(restarted.address, "/chat")
            .recv_text()
            .contains("There are ")
    });
}

/// Starts a client that sends a frame as fast as possible and never reads.
fn flood(server: &ServerProcess, frame: Vec<u8>, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (mut raw, stop) = (
        RawClient::upgraded(server.address, "/chat"),
        Arc::clone(stop),
    );
    thread::spawn(move || while !stop.load(Ordering::Relaxed) && raw.try_send(&frame).is_ok() {})
}

#[test]
fn costly_flood_does_not_delay_shutdown() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    // Costly, because the server must sanitize each byte.
    let frame = raw::frame(TEXT, &[1; 60_000]);
    let threads: Vec<_> = (0..4)
        .map(|_| flood(&server, frame.clone(), &stop))
        .collect();
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        start.elapsed() < CLOSE_TIMEOUT + TOLERANCE,
        "{:?}",
        start.elapsed()
    );
    stop.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("the flooding thread does not panic"));
}

#[test]
fn rate_limited_client_does_not_delay_shutdown() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&["--rate-limit", "2"]);
    let mut client = RawClient::upgraded(server.address, "/chat");
    // At this rate the server would need hours to read the messages.
    client.send(&raw::frame(TEXT, b"x").repeat(12_000));
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        start.elapsed() < CLOSE_TIMEOUT + TOLERANCE,
        "{:?}",
        start.elapsed()
    );
}
