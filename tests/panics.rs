//! A panic in one thread is that client's misfortune alone; one in the dispatcher ends the server.
//!
//! The panic comes from a logger, which every thread calls: the server needs no hook for it.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use support::{Client, RawClient, TestServer, config, eventually, watchdog};
use threadchat::{Config, ServerError};

/// What a record must contain to make the logger panic.
static TRIGGERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Panicking;

impl Log for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // tungstenite logs what it reads too, in the same thread, before the server has it.
        if record.target().starts_with("threadchat") {
            let line = record.args().to_string();
            let hit = TRIGGERS
                .lock()
                .expect("nobody panics with it")
                .iter()
                .any(|trigger| line.contains(trigger));
            assert!(!hit, "injected: {line}");
        }
    }

    fn flush(&self) {}
}

fn panic_at(trigger: &str) {
    // The first of the tests installs it, for all.
    let _ = log::set_logger(&Panicking);
    log::set_max_level(LevelFilter::Trace);
    TRIGGERS
        .lock()
        .expect("nobody panics with it")
        .push(trigger.to_owned());
}

#[test]
fn in_a_connections_thread_it_ends_that_connection_with_1011() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    panic_at("trigger in a connection");
    let (mut stays, mut goes) = (host.client(), host.client());
    goes.send_text("trigger in a connection");
    assert_eq!(goes.expect_close(), 1011);
    eventually("it is off the list", || {
        let mut probe = Client::connect(host.address, "/chat");
        let left = probe.recv_text() == "You are connected! There are 2 users here.";
        probe.close();
        left
    });
    stays.send_text("still here");
    assert_eq!(stays.recv_text(), "[user0]: still here");
}

#[test]
fn in_a_writer_thread_it_ends_that_connection() {
    let _watchdog = watchdog(60);
    let host = TestServer::with_config(Config {
        max_backlog: Some(64 << 20),
        ..config()
    });
    let mut chats = host.client();
    let stuck = RawClient::upgraded(host.address, "/chat");
    let address = stuck.socket.local_addr().expect("it is connected");
    panic_at(&format!("{address}: writing behind"));
    let text = "x".repeat(60_000);
    stuck
        .socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("not zero");
    let gone = |host: &TestServer| {
        let mut probe = Client::connect(host.address, "/chat");
        let gone = probe.recv_text() == "You are connected! There are 2 users here.";
        probe.close();
        gone
    };
    while !gone(&host) {
        chats.send_text(&text);
        chats.recv_text();
    }
    chats.send_text("still here");
    assert_eq!(chats.recv_text(), "[user0]: still here");
}

#[test]
fn in_the_dispatcher_it_ends_the_server_with_an_error() {
    let _watchdog = watchdog(60);
    let mut host = TestServer::start();
    let mut witness = host.client();
    let mut newcomer = RawClient::connect(host.address);
    let address = newcomer.socket.local_addr().expect("it is connected");
    // The dispatcher says who came.
    panic_at(&format!("came from {address}"));
    newcomer.send(support::raw::handshake("/chat", "").as_bytes());
    assert!(matches!(host.wait(), Err(ServerError::Dispatcher)));
    // Nobody is left in a chat that is deaf.
    assert_eq!(witness.expect_close(), 1011);
    assert!(
        newcomer
            .rest()
            .is_ok_and(|rest| rest.ends_with(b"internal error"))
    );
}
