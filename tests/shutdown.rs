//! Stopping: by a signal or by a program that embeds the server.

mod support;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Client, RawClient, ServerProcess, TestServer, eventually, raw, watchdog};

/// What the design allows clients to take, and what a busy machine needs beyond it.
const GRACE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(4);

#[test]
fn signals_close_everybody_with_1001_and_exit_with_0() {
    let _watchdog = watchdog(60);
    for signal in [Signal::INT, Signal::TERM] {
        let mut program = ServerProcess::start(&[]);
        let mut clients = [
            Client::join(program.address),
            Client::connect(program.address, "/echo"),
        ];
        program.signal(signal);
        for client in &mut clients {
            assert_eq!(client.expect_close(), 1001);
        }
        assert_eq!(program.wait().code(), Some(0));
        assert!(TcpStream::connect(program.address).is_err());
        let log = program.remaining_log();
        assert!(
            log.iter()
                .any(|line| line.contains("user0 left") && line.contains("shutdown")),
            "{log:?}"
        );
        assert!(
            log.last().is_some_and(|line| line.ends_with("stopped")),
            "{log:?}"
        );
    }
}

#[test]
fn a_client_that_does_not_answer_holds_the_end_up_for_its_grace_only() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&[]);
    let silent = [
        RawClient::upgraded(program.address, "/chat"),
        RawClient::upgraded(program.address, "/echo"),
    ];
    let mut unfinished = RawClient::connect(program.address);
    unfinished.send(b"GET /chat");
    let begin = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(begin.elapsed() < GRACE + SLACK, "{:?}", begin.elapsed());
    drop(silent);
}

#[test]
fn a_second_signal_exits_at_once() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&[]);
    let mut silent = RawClient::upgraded(program.address, "/chat");
    program.signal(Signal::INT);
    // The Close shows that the first signal has been taken.
    while silent
        .frame()
        .expect("no reset")
        .is_some_and(|frame| frame.0 != 0x88)
    {}
    let begin = Instant::now();
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(130));
    assert!(begin.elapsed() < GRACE / 2, "{:?}", begin.elapsed());
}

#[test]
fn an_embedded_server_returns_from_run() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut client = host.client();
    let (stopper, address) = (host.shutdown_handle.clone(), host.address);
    let stopping = thread::spawn(move || host.shutdown());
    assert_eq!(client.expect_close(), 1001);
    assert!(stopping.join().expect("no panic").is_ok());
    assert!(TcpStream::connect(address).is_err());
    // Once more is no harm.
    stopper.shutdown();
}

#[test]
fn it_stops_in_the_middle_of_a_storm() {
    let _watchdog = watchdog(120);
    let mut program = ServerProcess::start(&[]);
    let clients: Vec<_> = (0..50).map(|_| Client::join(program.address)).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, mut client)| {
            thread::spawn(move || {
                let mine = format!("[user{number}]: ball");
                (0..8).for_each(|_| client.send_text("ball"));
                loop {
                    match client.next_message() {
                        Ok(tungstenite::Message::Text(text)) if text.as_str() == mine => {
                            // The server may have sent its Close already.
                            let _ = client.socket.send(tungstenite::Message::text("ball"));
                        }
                        Ok(tungstenite::Message::Close(frame)) => {
                            return frame.map(|frame| frame.code.into());
                        }
                        Ok(_) => {}
                        Err(error) => panic!("no Close came: {error}"),
                    }
                }
            })
        })
        .collect();
    let mut witness = Client::join(program.address);
    for _ in 0..1000 {
        witness.recv_text();
    }
    let begin = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(witness.expect_close(), 1001);
    for thread in threads {
        assert_eq!(thread.join().expect("each gets its Close"), Some(1001u16));
    }
    assert_eq!(program.wait().code(), Some(0));
    println!("stopped in {:?}", begin.elapsed());
    assert!(begin.elapsed() < GRACE + SLACK, "{:?}", begin.elapsed());
}

#[test]
fn a_program_that_is_killed_can_start_again_on_its_port_at_once() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&[]);
    let address = program.address.to_string();
    let client = Client::join(program.address);
    program.signal(Signal::KILL);
    program.wait();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command.args(["--listen", &address]);
    let again = ServerProcess::spawn(command);
    assert_eq!(again.address.to_string(), address);
    drop(client);
    eventually("it serves", || {
        Client::connect(again.address, "/chat")
            .recv_text()
            .contains("There are ")
    });
}

/// Fills its own way to the server with these frames, and never reads.
fn flood(
    program: &ServerProcess,
    frame: Vec<u8>,
    stop: &Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let (mut raw, stop) = (
        RawClient::upgraded(program.address, "/chat"),
        Arc::clone(stop),
    );
    thread::spawn(move || while !stop.load(Ordering::Relaxed) && raw.try_send(&frame).is_ok() {})
}

#[test]
fn a_flood_of_what_is_expensive_does_not_put_the_end_off() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    // Each byte of it has to be replaced.
    let frame = raw::frame(0x81, &[1; 60_000]);
    let floods: Vec<_> = (0..4)
        .map(|_| flood(&program, frame.clone(), &stop))
        .collect();
    let begin = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(begin.elapsed() < GRACE + SLACK, "{:?}", begin.elapsed());
    stop.store(true, Ordering::Relaxed);
    floods
        .into_iter()
        .for_each(|flood| flood.join().expect("no flood fails"));
}

#[test]
fn a_client_that_is_slowed_down_does_not_put_the_end_off() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&["--rate-limit", "2"]);
    let mut ahead = RawClient::upgraded(program.address, "/chat");
    // At its rate, what it has sent takes hours.
    ahead.send(&raw::frame(0x81, b"x").repeat(12_000));
    let begin = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(begin.elapsed() < GRACE + SLACK, "{:?}", begin.elapsed());
}
